// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/kube/config.h"
#include "lib/kube/kubeconfig.h"

static char dir[] = "/tmp/nlt-kubeconfig-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static const char *write_file(const char *name, const char *text)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	return path;
}

#define CONFIG(cluster, user)                                                    \
	"apiVersion: v1\nkind: Config\ncurrent-context: c\n"                     \
	"contexts:\n- name: c\n  context: {cluster: k, user: u, namespace: n}\n" \
	"clusters:\n- name: k\n  cluster: " cluster "\nusers:\n- name: u\n  user: " user "\n"
#define SERVER "{server: 'https://h:6443/'}"

static void strings_are(const char *has, const char *want, const char *what)
{
	if (!has != !want || (has && strcmp(has, want) != 0))
		fail_msg("%s: '%s', want '%s'", what, has ?: "(none)", want ?: "(none)");
}

static struct kube_config load(const char *text)
{
	struct kube_config cfg = {};
	struct err e = {};

	if (kube_config_load(write_file("config", text), &cfg, &e) < 0)
		fail_msg("%s\n%s", text, e.msg);
	return cfg;
}

/* ---- what is right ---- */

static void a_token_and_a_ca_are_read(void **state)
{
	struct kube_config cfg =
		load(CONFIG("{server: 'https://h:6443/', certificate-authority-data: SGVsbG8K}",
			    "{token: t0ken}"));

	strings_are(cfg.server, "https://h:6443", "server");
	strings_are(cfg.ca_pem, "Hello\n", "ca");
	strings_are(cfg.ca_file, NULL, "ca file");
	strings_are(cfg.token, "t0ken", "token");
	strings_are(cfg.name_space, "n", "namespace");
	assert_false(cfg.insecure);
	kube_config_clear(&cfg);
}

static void paths_are_relative_to_their_file(void **state)
{
	struct kube_config cfg =
		load(CONFIG("{server: 'https://h', certificate-authority: pki/ca.crt}",
			    "{client-certificate: /abs/c.crt, client-key: c.key, tokenFile: t}"));

	strings_are(cfg.ca_file, in_dir("pki/ca.crt"), "ca");
	strings_are(cfg.cert_file, "/abs/c.crt", "cert");
	strings_are(cfg.key_file, in_dir("c.key"), "key");
	strings_are(cfg.token_file, in_dir("t"), "tokenFile");
	kube_config_clear(&cfg);
}

static void data_wins_over_the_file(void **state)
{
	struct kube_config cfg = load(CONFIG(
		SERVER, "{client-certificate: c, client-certificate-data: QQ==, client-key: k, "
			"client-key-data: Qg==}"));

	strings_are(cfg.cert_pem, "A", "cert");
	strings_are(cfg.cert_file, NULL, "cert file");
	strings_are(cfg.key_pem, "B", "key");
	kube_config_clear(&cfg);
}

static void the_rest_of_a_cluster_is_read(void **state)
{
	struct kube_config cfg = load(CONFIG(
		"{server: 'https://h', tls-server-name: api.example, proxy-url: 'http://p:3128', "
		"insecure-skip-tls-verify: true}",
		"{token: x, as: somebody}"));

	strings_are(cfg.server_name, "api.example", "tls-server-name");
	strings_are(cfg.proxy, "http://p:3128", "proxy-url");
	strings_are(cfg.as_user, "somebody", "as");
	assert_true(cfg.insecure);
	kube_config_clear(&cfg);
}

static void fields_nobody_knows_are_ignored(void **state)
{
	struct kube_config cfg = load("preferences: {colors: true}\nextensions: []\n" CONFIG(
		"{server: 'https://h', extensions: [{name: x}], disable-compression: true}", "{}"));

	strings_are(cfg.server, "https://h", "server");
	strings_are(cfg.token, NULL, "token");
	kube_config_clear(&cfg);
}

static void of_several_files_the_first_to_name_something_wins(void **state)
{
	char paths[400];
	struct kube_config cfg = {};
	struct err e = {};

	snprintf(paths, sizeof(paths), "%s:%s:%s", in_dir("absent"),
		 write_file("one", "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"
				   "clusters:\n- name: k\n  cluster: {server: 'https://one'}\n"),
		 write_file("two", CONFIG("{server: 'https://two'}", "{token: two}")));
	if (kube_config_load(paths, &cfg, &e) < 0)
		fail_msg("%s", e.msg);
	strings_are(cfg.server, "https://one", "server");
	strings_are(cfg.token, "two", "token");
	kube_config_clear(&cfg);
}

/* ---- what is wrong ---- */

static const struct {
	const char *name, *text;
	int err;
	const char *says;
} bad[] = {
	{ "no YAML", "a: [", -EINVAL, "/config: line" },
	{ "a list", "[]", -EINVAL, "want one mapping" },
	{ "nothing", "", -EINVAL, "want one mapping" },
	{ "no context", "clusters: []\n", -EINVAL, "current-context: missing" },
	{ "an unknown context", "current-context: x\ncontexts: []\n", -EINVAL,
	  "no context is named 'x'" },
	{ "an unknown cluster",
	  "current-context: c\ncontexts: [{name: c, context: {cluster: z}}]\n", -EINVAL,
	  "no 'z' in clusters" },
	{ "no server", CONFIG("{a: b}", "{}"), -ENOENT, "cluster 'k': server: missing" },
	{ "no URL", CONFIG("{server: 'h:6443'}", "{}"), -EINVAL, "does not start with https://" },
	{ "a wrong type", CONFIG("{server: 7}", "{}"), -EINVAL, "server: want a string" },
	{ "no base64", CONFIG("{server: 'https://h', certificate-authority-data: '***'}", "{}"),
	  -EINVAL, "certificate-authority-data: not base64" },
	{ "exec", CONFIG(SERVER, "{exec: {command: aws}}"), -ENOTSUP, "exec: not supported" },
	{ "a provider", CONFIG(SERVER, "{auth-provider: {name: gcp}}"), -ENOTSUP,
	  "auth-provider: not supported" },
	{ "a password", CONFIG(SERVER, "{username: a, password: b}"), -ENOTSUP,
	  "username: not supported" },
	{ "a certificate without its key", CONFIG(SERVER, "{client-certificate: c}"), -EINVAL,
	  "go together" },
	{ "contradicting TLS",
	  CONFIG("{server: 'https://h', certificate-authority: a, insecure-skip-tls-verify: true}",
		 "{}"),
	  -EINVAL, "insecure-skip-tls-verify" },
};

static void wrong_files_are_refused_by_field(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct kube_config cfg = {};
		struct err e = {};
		int err = kube_config_load(write_file("config", bad[i].text), &cfg, &e);

		if (err != bad[i].err || !strstr(e.msg, bad[i].says))
			fail_msg("%s: %d '%s', want %d with '%s'", bad[i].name, err, e.msg,
				 bad[i].err, bad[i].says);
		assert_null(cfg.server);
		if (!strstr(e.msg, dir))
			fail_msg("%s: '%s' does not name the file", bad[i].name, e.msg);
	}
}

static void an_absent_file_is_named(void **state)
{
	struct kube_config cfg = {};
	struct err e = {};

	assert_int_equal(kube_config_load(in_dir("none"), &cfg, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "none"));
}

/* ---- where it is looked for ---- */

static void a_pod_finds_its_service_account(void **state)
{
	struct kube_config cfg = {};
	struct err e = {};

	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
	write_file("token", "abc\n");
	write_file("namespace", "kube-system");
	if (kube_config_in_cluster(dir, &cfg, &e) < 0)
		fail_msg("%s", e.msg);
	strings_are(cfg.server, "https://[fd00::1]:6443", "server");
	strings_are(cfg.token_file, in_dir("token"), "token");
	strings_are(cfg.ca_file, in_dir("ca.crt"), "ca");
	strings_are(cfg.name_space, "kube-system", "namespace");
	kube_config_clear(&cfg);
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	assert_int_equal(kube_config_in_cluster(dir, &cfg, &e), -ENOENT);
}

static void a_given_server_replaces_the_found_one(void **state)
{
	const char *path = write_file("config", CONFIG(SERVER, "{token: x}"));
	struct kube_config cfg = {};
	struct err e = {};

	assert_int_equal(kube_config_find(path, "https://10.0.0.1:6443/", &cfg, &e), 0);
	strings_are(cfg.server, "https://10.0.0.1:6443", "server");
	strings_are(cfg.token, "x", "token");
	kube_config_clear(&cfg);
	assert_int_equal(kube_config_find(path, "10.0.0.1", &cfg, &e), -EINVAL);
	setenv("KUBECONFIG", path, 1);
	assert_int_equal(kube_config_find("", "", &cfg, &e), 0);
	strings_are(cfg.server, "https://h:6443", "server");
	kube_config_clear(&cfg);
	unsetenv("KUBECONFIG");
	assert_int_equal(kube_config_find("", "", &cfg, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "KUBECONFIG"));
}

static int setup(void **state)
{
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "config", "one", "two", "token", "namespace" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_and_a_ca_are_read),
		cmocka_unit_test(paths_are_relative_to_their_file),
		cmocka_unit_test(data_wins_over_the_file),
		cmocka_unit_test(the_rest_of_a_cluster_is_read),
		cmocka_unit_test(fields_nobody_knows_are_ignored),
		cmocka_unit_test(of_several_files_the_first_to_name_something_wins),
		cmocka_unit_test(wrong_files_are_refused_by_field),
		cmocka_unit_test(an_absent_file_is_named),
		cmocka_unit_test(a_pod_finds_its_service_account),
		cmocka_unit_test(a_given_server_replaces_the_found_one),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
