// SPDX-License-Identifier: Apache-2.0
/* Manifests as texts, and as files of a folder. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "ksr/folder.h"
#include "lib/base/clock.h"

#define POD(name) "apiVersion: v1\nkind: Pod\nmetadata: {name: " name "}\n"

static char said[2048];

static void on_bad(enum kind kind, const struct err *e, void *arg)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%s\n", e->msg);
}

/* `keys`: of the objects, joined by blanks, '!' behind those that can't be read. `error` of the
 * whole, `bad` of objects; NULL: none. */
static const struct {
	const char *name, *text, *keys, *error, *bad;
} cases[] = {
	{ "an empty file", "", "", NULL, NULL },
	{ "several documents", POD("a") "---\n---\n" POD("b"), "pod/default/a pod/default/b", NULL,
	  NULL },
	{ "JSON with tabs",
	  "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\":\t{"
	  "\"name\": \"n1\"}}",
	  "node/n1", NULL, NULL },
	{ "a List",
	  "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n}}"
	  "\n- {apiVersion: v1, kind: Namespace, metadata: {name: s}}\n",
	  "node/n namespace/s", NULL, NULL },
	{ "a PodList gives its items their kind",
	  "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a, namespace: s}\n", "pod/s/a",
	  NULL, NULL },
	{ "other kinds are left out",
	  "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\napiVersion: apps/v1\n"
	  "kind: Deployment\nmetadata: {name: a}\n",
	  "", NULL, NULL },
	{ "a namespace of a cluster-scoped object is dropped",
	  "apiVersion: v1\nkind: Node\nmetadata: {name: n, namespace: s}\n", "node/n", NULL, NULL },
	{ "not YAML", POD("a") "---\nfoo: [\n", "",
	  "document 2: line 6: did not find expected node content, while parsing a flow node",
	  NULL },
	{ "a document that is no object", "- 1\n---\n" POD("a"), "pod/default/a", NULL,
	  "document 1 (line 1): want an object with apiVersion and kind, found an array\n" },
	{ "no kind", "apiVersion: v1\n---\n" POD("a"), "pod/default/a", NULL,
	  "document 1 (line 1): kind: missing\n" },
	{ "a name that is none", POD("a/b") "---\n" POD("a"), "pod/default/a", NULL,
	  "document 1 (line 1): pod: metadata.name: 'a/b' is not a DNS name in lower case\n" },
	{ "a wrong type is held", POD("a") "spec: {hostNetwork: maybe}\n---\n" POD("b"),
	  "pod/default/a! pod/default/b", NULL,
	  "document 1 (line 1): pod default/a: spec.hostNetwork: want true or false, found a string"
	  "\n" },
	{ "a wrong item of a list",
	  "apiVersion: v1\nkind: List\nitems: [7, {apiVersion: v1, kind: "
	  "Node, metadata: {name: n}}]\n",
	  "node/n", NULL,
	  "document 1 (line 1), item 1: want an object with apiVersion and kind, found a "
	  "number\n" },
};

static void describe(const struct manifest *m, char *text, size_t size)
{
	size_t n = 0;

	*text = 0;
	for (size_t i = 0; i < m->n; i++)
		n += snprintf(text + n, size - n, "%s%s%s", i ? " " : "",
			      m->objects[i].key + strlen("/netloom/k8s/"),
			      m->objects[i].value ? "" : "!");
}

static void texts_become_objects_or_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct manifest m = {};
		struct err e = {};
		char keys[512];
		int err;

		print_message("  %s\n", cases[i].name);
		*said = 0;
		err = manifest_parse(cases[i].text, strlen(cases[i].text), &m, on_bad, NULL, &e);
		assert_string_equal(e.msg, cases[i].error ? cases[i].error : "");
		assert_int_equal(err, cases[i].error ? -EINVAL : 0);
		describe(&m, keys, sizeof(keys));
		assert_string_equal(keys, cases[i].keys);
		assert_string_equal(said, cases[i].bad ? cases[i].bad : "");
		manifest_clear(&m);
	}
}

static char *value_of(const char *text)
{
	struct manifest m = {};
	char *value;

	assert_int_equal(manifest_parse(text, strlen(text), &m, on_bad, NULL, NULL), 0);
	assert_int_equal(m.n, 1);
	value = TAKE_PTR(m.objects[0].value);
	manifest_clear(&m);
	return value;
}

static void versions_follow_the_content_and_uids_the_name(void **state)
{
	_cleanup_(freep) char *a = value_of(POD("a")), *again = NULL, *other = NULL;
	const char *uid = strstr(a, "\"uid\":\"");

	again = value_of(POD("a"));
	assert_string_equal(a, again);
	other = value_of(POD("a") "spec: {nodeName: n}\n");
	assert_string_not_equal(a, other);
	assert_non_null(uid);
	assert_memory_equal(strstr(other, "\"uid\":\""), uid, 43);
	free(TAKE_PTR(other));
}

static void defaults_are_filled_in_as_a_server_would(void **state)
{
	static const struct {
		const char *text, *has;
	} filled[] = {
		{ "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: "
		  "10.96.0.9, "
		  "ports: [{port: 80}]}",
		  "\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.0.9\",\"clusterIPs\":["
		  "\"10.96.0.9\"],\"ports\":[{\"protocol\":\"TCP\",\"port\":80,\"targetPort\":80}"
		  "]" },
		{ "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
		  "spec: {podSelector: {}, egress: [{ports: [{port: 53}]}]}",
		  "\"policyTypes\":[\"Ingress\",\"Egress\"],\"egress\":[{\"ports\":[{\"protocol\":"
		  "\"TCP\",\"port\":53}]}]" },
		{ "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
		  "spec: {podSelector: {}, policyTypes: [], egress: []}",
		  "\"policyTypes\":[\"Ingress\"],\"egress\":[]" },
		{ "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}",
		  "\"labels\":{\"kubernetes.io/metadata.name\":\"a\"}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(filled); i++) {
		char *value = value_of(filled[i].text);

		if (!strstr(value, filled[i].has))
			fail_msg("%s has no %s", value, filled[i].has);
		free(value);
	}
}

/* ---- files ---- */

static char dir[64];
static struct folder folder;

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nlt-ksr-XXXXXX");
	folder = (struct folder){ .bad = on_bad };
	return mkdtemp(dir) && folder_init(&folder, dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "a.yaml", "b.yml",	 ".c.yaml", "d.txt",
					     "e.json", "x.yaml", "f.yaml~" };
	char path[128];

	folder_fini(&folder);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void write_file(const char *name, const char *text)
{
	char path[128], tmp[128];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s/.tmp", dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(tmp, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(tmp, path), 0);
}

static void expect_scan(int changed, const char *keys)
{
	uint64_t again = 0;
	char all[512] = "", one[256];

	*said = 0;
	assert_int_equal(folder_scan(&folder, &again, NULL), changed);
	for (struct folder_file *f = folder.files; f; f = f->next) {
		size_t n = strlen(all);

		describe(&f->good, one, sizeof(one));
		snprintf(all + n, sizeof(all) - n, "%s%s:%s", n ? " " : "", f->name, one);
	}
	assert_string_equal(all, keys);
}

static void manifests_are_told_from_other_files(void **state)
{
	write_file("b.yml", POD("b"));
	write_file("a.yaml", POD("a"));
	write_file(".c.yaml", POD("c"));
	write_file("d.txt", POD("d"));
	write_file("f.yaml~", POD("f"));
	expect_scan(1, "a.yaml:pod/default/a b.yml:pod/default/b");
	expect_scan(0, "a.yaml:pod/default/a b.yml:pod/default/b");
}

static void a_broken_file_keeps_its_last_good_content(void **state)
{
	write_file("a.yaml", POD("a"));
	write_file("x.yaml", POD("x"));
	expect_scan(1, "a.yaml:pod/default/a x.yaml:pod/default/x");
	write_file("a.yaml", POD("a") "---\n\t- [\n");
	expect_scan(1, "a.yaml:pod/default/a x.yaml:pod/default/x");
	assert_true(folder.files->broken);
	assert_non_null(strstr(said, "/a.yaml: document 2: line 5: "));
	/* Said once a change, not at each look. */
	expect_scan(0, "a.yaml:pod/default/a x.yaml:pod/default/x");
	assert_string_equal(said, "");
	write_file("a.yaml", POD("b"));
	expect_scan(1, "a.yaml:pod/default/b x.yaml:pod/default/x");
}

static void a_file_that_goes_takes_its_objects_along(void **state)
{
	char path[128];

	write_file("a.yaml", POD("a"));
	expect_scan(1, "a.yaml:pod/default/a");
	snprintf(path, sizeof(path), "%s/a.yaml", dir);
	unlink(path);
	expect_scan(1, "");
}

static void a_file_being_written_is_waited_for(void **state)
{
	uint64_t again = 0;

	write_file("a.yaml", POD("a"));
	expect_scan(1, "a.yaml:pod/default/a");
	folder_busy(&folder, "a.yaml", clock_ms() + 60000);
	write_file("a.yaml", "apiV");
	assert_int_equal(folder_scan(&folder, &again, NULL), 0);
	assert_true(again > clock_ms());
	/* Of another size: the first file's inode may be given again, within one tick of its clock.
	 */
	write_file("a.yaml", POD("other"));
	folder_busy(&folder, "a.yaml", 0);
	expect_scan(1, "a.yaml:pod/default/other");
}

static void pipes_and_dead_links_are_reported(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/x.yaml", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/a.yaml", dir);
	assert_int_equal(symlink("/nowhere/at/all", path), 0);
	expect_scan(1, "a.yaml: x.yaml:");
	assert_non_null(strstr(said, "/a.yaml: can't be opened"));
	assert_non_null(strstr(said, "/x.yaml: is no regular file"));
}

static void a_folder_that_is_gone_changes_nothing(void **state)
{
	char away[128];
	uint64_t again = 0;
	struct err e = {};

	write_file("a.yaml", POD("a"));
	expect_scan(1, "a.yaml:pod/default/a");
	snprintf(away, sizeof(away), "%s.away", dir);
	assert_int_equal(rename(dir, away), 0);
	assert_int_equal(folder_scan(&folder, &again, &e), -ENOENT);
	assert_non_null(strstr(e.msg, dir));
	assert_int_equal(folder.files->good.n, 1);
	assert_int_equal(rename(away, dir), 0);
	expect_scan(0, "a.yaml:pod/default/a");
}

#define FILES(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_become_objects_or_errors),
		cmocka_unit_test(versions_follow_the_content_and_uids_the_name),
		cmocka_unit_test(defaults_are_filled_in_as_a_server_would),
		FILES(manifests_are_told_from_other_files),
		FILES(a_broken_file_keeps_its_last_good_content),
		FILES(a_file_that_goes_takes_its_objects_along),
		FILES(a_file_being_written_is_waited_for),
		FILES(pipes_and_dead_links_are_reported),
		FILES(a_folder_that_is_gone_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
