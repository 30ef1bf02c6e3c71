// SPDX-License-Identifier: Apache-2.0
/* What a port of a service means on node1, as kube-proxy has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/services/compile.h"
#include "lib/json/json.h"
#include "selftests/unit/services/quotes.h"

#define MAX_SLICES 4

#define WEB	 "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'name':'web'}]"
#define LOCAL_IN WEB ",'internalTrafficPolicy':'Local'}"
#define EXTERNAL                                                                                  \
	"'spec':{'type':'NodePort','clusterIPs':['10.96.0.1'],'ports':[{'port':80,'name':'web','" \
	"nodePort':30080}]"
#define LOCAL_OUT     EXTERNAL ",'externalTrafficPolicy':'Local'}"
#define SLICE(eps)    "'addressType':'IPv4','ports':[{'name':'web','port':8080}],'endpoints':[" eps "]"
#define NODE(n)	      ",'nodeName':'node" #n "'"
#define EP(n, more)   "{'addresses':['10.1.0." #n "']" more "}"
#define COND(r, s, t) ",'conditions':{'ready':" #r ",'serving':" #s ",'terminating':" #t "}"
#define READY	      COND(true, true, false)
#define UNREADY	      COND(false, false, false)
#define SERVING	      COND(false, true, true)
#define DEAF	      COND(false, false, true)
#define ZONES(z)      ",'hints':{'forZones':[{'name':'" #z "'}]}"
#define NODES(n)                                                                                   \
	",'hints':{'forZones':[{'name':'east'},{'name':'west'}],'forNodes':[{'name':'node" #n "'}" \
	"]}"

/* What is expected of each backend: address:port, state, tables (c: cluster, l: local, o: out),
 * then R ready, T terminating, L local, H in a host's network, O our own address, @node. */
static const struct {
	const char *name, *service, *slices[MAX_SLICES], *want;
} cases[] = {
	{ "a ready endpoint serves the cluster",
	  WEB "}",
	  { SLICE(EP(1, NODE(2))) },
	  "10.1.0.1:8080 ready c R@2" },
	{ "an endpoint of this node is local",
	  WEB "}",
	  { SLICE(EP(1, NODE(1))) },
	  "10.1.0.1:8080 ready c RL@1" },
	{ "an endpoint without a node is nobody's",
	  WEB "}",
	  { SLICE(EP(1, "")) },
	  "10.1.0.1:8080 ready c R@0" },
	{ "a node's own address is a host's network",
	  WEB "}",
	  { SLICE("{'addresses':['172.30.0.12'],'nodeName':'node2'},"
		  "{'addresses':['172.30.0.11'],'nodeName':'node1'}") },
	  "172.30.0.11:8080 ready c RLHO@1; 172.30.0.12:8080 ready c RH@2" },
	{ "our own address is local also when no node is named",
	  WEB "}",
	  { SLICE("{'addresses':['172.30.0.11']},{'addresses':['172.30.0.12']}") },
	  "172.30.0.11:8080 ready c RLHO@1; 172.30.0.12:8080 ready c RH@2" },
	{ "endpoints that are not ready get nothing new",
	  WEB "}",
	  { SLICE(EP(1, NODE(2) READY) "," EP(2, NODE(2) UNREADY)) },
	  "10.1.0.1:8080 ready c R@2; 10.1.0.2:8080 unready - @2" },
	{ "absent conditions are ready ones",
	  WEB "}",
	  { SLICE(EP(1, ",'conditions':{}")) },
	  "10.1.0.1:8080 ready c R@0" },
	{ "a terminating one is passed over while another is ready",
	  WEB "}",
	  { SLICE(EP(1, SERVING) "," EP(2, READY)) },
	  "10.1.0.1:8080 serving - T@0; 10.1.0.2:8080 ready c R@0" },
	{ "terminating ones that serve are used when none is ready",
	  WEB "}",
	  { SLICE(EP(1, SERVING) "," EP(2, DEAF) "," EP(3, UNREADY)) },
	  "10.1.0.1:8080 serving c RT@0; 10.1.0.2:8080 terminating - T@0; "
	  "10.1.0.3:8080 unready - @0" },
	{ "what serves and does not end is only not ready",
	  WEB "}",
	  { SLICE(EP(1, COND(false, true, false))) },
	  "10.1.0.1:8080 unready - @0" },
	{ "where serving is not said it is as ready is",
	  WEB "}",
	  { SLICE(EP(1, ",'conditions':{'ready':false,'terminating':true}")) },
	  "10.1.0.1:8080 terminating - T@0" },
	{ "a published endpoint is ready, though it terminates",
	  WEB ",'publishNotReadyAddresses':true}",
	  { SLICE(EP(1, COND(true, true, true))) },
	  "10.1.0.1:8080 ready c RT@0" },
	{ "several slices are one service",
	  WEB "}",
	  { SLICE(EP(1, "")), SLICE(EP(2, "")) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready c R@0" },
	{ "of a duplicate the better word counts",
	  WEB "}",
	  { SLICE(EP(1, UNREADY)), SLICE(EP(1, NODE(1) READY)), SLICE(EP(1, SERVING)) },
	  "10.1.0.1:8080 ready c RL@1" },
	{ "each slice has its own target port",
	  WEB "}",
	  { SLICE(EP(1, "")),
	    "'addressType':'IPv4','ports':[{'name':'web','port':9090}],'endpoints':[" EP(1,
											 "") "]" },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.1:9090 ready c R@0" },
	{ "ports are told apart by name and protocol",
	  WEB "}",
	  { "'addressType':'IPv4','ports':[{'name':'web','port':53,'protocol':'UDP'},"
	    "{'name':'dns','port':54},{'port':55}],'endpoints':[" EP(1, "") "]" },
	  "" },
	{ "slices of the other family and of names are passed over",
	  WEB "}",
	  { "'addressType':'IPv6','ports':[{'name':'web','port':1}],'endpoints':"
	    "[{'addresses':['fd00::1']}]",
	    "'addressType':'FQDN','ports':[{'name':'web','port':1}],'endpoints':"
	    "[{'addresses':['example.org']}]" },
	  "" },
	{ "internalTrafficPolicy Local has this node's only",
	  LOCAL_IN,
	  { SLICE(EP(1, NODE(1)) "," EP(2, NODE(2))) },
	  "10.1.0.1:8080 ready l RL@1; 10.1.0.2:8080 ready - @2" },
	{ "and is silent when the others are elsewhere",
	  LOCAL_IN,
	  { SLICE(EP(2, NODE(2))) },
	  "10.1.0.2:8080 ready - @2 silent-in" },
	{ "but refuses when there are none at all",
	  LOCAL_IN,
	  { SLICE(EP(2, NODE(2) UNREADY)) },
	  "10.1.0.2:8080 unready - @2" },
	{ "its terminating ones are used when no ready one is here",
	  LOCAL_IN,
	  { SLICE(EP(1, NODE(1) SERVING) "," EP(2, NODE(2))) },
	  "10.1.0.1:8080 serving l RTL@1; 10.1.0.2:8080 ready - @2" },
	{ "outside clients have all endpoints",
	  EXTERNAL "}",
	  { SLICE(EP(1, NODE(1)) "," EP(2, NODE(2))) },
	  "10.1.0.1:8080 ready co RL@1; 10.1.0.2:8080 ready co R@2" },
	{ "externalTrafficPolicy Local has this node's only",
	  LOCAL_OUT,
	  { SLICE(EP(1, NODE(1)) "," EP(2, NODE(2))) },
	  "10.1.0.1:8080 ready co RL@1; 10.1.0.2:8080 ready c R@2" },
	{ "externalTrafficPolicy Local is silent where none is",
	  LOCAL_OUT,
	  { SLICE(EP(2, NODE(2))) },
	  "10.1.0.2:8080 ready c R@2 silent-out" },
	{ "externalTrafficPolicy Local refuses when there are none at all",
	  LOCAL_OUT,
	  { SLICE(EP(2, NODE(2) UNREADY)) },
	  "10.1.0.2:8080 unready - @2" },
	{ "externalTrafficPolicy Local falls back on its own",
	  LOCAL_OUT,
	  { SLICE(EP(1, NODE(1) SERVING) "," EP(2, NODE(2))) },
	  "10.1.0.1:8080 serving o RTL@1; 10.1.0.2:8080 ready c R@2" },
	{ "zone hints leave what is for our zone",
	  WEB ",'trafficDistribution':'PreferClose'}",
	  { SLICE(EP(1, ZONES(east)) "," EP(2, ZONES(west)) "," EP(3, ZONES(east))) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready - @0; 10.1.0.3:8080 ready c R@0" },
	{ "without a hint on each ready endpoint all are used",
	  WEB "}",
	  { SLICE(EP(1, ZONES(east)) "," EP(2, "")) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready c R@0" },
	{ "endpoints that are not ready need no hint",
	  WEB "}",
	  { SLICE(EP(1, ZONES(east)) "," EP(2, ZONES(west)) "," EP(3, UNREADY)) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready - @0; 10.1.0.3:8080 unready - @0" },
	{ "hints for other zones alone are not followed",
	  WEB "}",
	  { SLICE(EP(1, ZONES(west)) "," EP(2, ZONES(north))) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready c R@0" },
	{ "node hints come before zones",
	  WEB ",'trafficDistribution':'PreferSameNode'}",
	  { SLICE(EP(1, NODES(1)) "," EP(2, NODES(2))) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready - @0" },
	{ "without one for this node zones decide",
	  WEB "}",
	  { SLICE(EP(1, NODES(2)) "," EP(2, NODES(3))) },
	  "10.1.0.1:8080 ready c R@0; 10.1.0.2:8080 ready c R@0" },
	{ "outside clients are not led by hints: nodes agree",
	  EXTERNAL "}",
	  { SLICE(EP(1, ZONES(east)) "," EP(2, ZONES(west))) },
	  "10.1.0.1:8080 ready co R@0; 10.1.0.2:8080 ready o R@0" },
	{ "hints don't matter when only terminating ones are left",
	  WEB "}",
	  { SLICE(EP(1, SERVING ZONES(west)) "," EP(2, SERVING ZONES(east))) },
	  "10.1.0.1:8080 serving c RT@0; 10.1.0.2:8080 serving c RT@0" },
};

static struct json_object *object(const char *fields)
{
	char text[4096];
	struct json_object *o;

	snprintf(text, sizeof(text), "{%s}", fields);
	o = quoted_json(text);
	assert_non_null(o);
	return o;
}

static void add_node(struct nodes *n, const char *name, const char *fields)
{
	_json_ *o = object(fields);

	assert_true(nodes_put(n, name, o));
}

static void make_nodes(struct nodes *n)
{
	union loom_addr own;

	nodes_init(n, "node1");
	n->self_id = 1;
	nodes_set_zone(n, "east");
	assert_int_equal(addr_parse("172.30.0.11", &own, NULL), 0);
	nodes_set_own(n, &own, 1);
	add_node(n, "node1", "'id':1,'addresses':['172.30.0.11']");
	add_node(n, "node2", "'id':2,'addresses':['172.30.0.12']");
}

static void describe(const struct wants *w, char *buf, size_t size)
{
	static const struct {
		uint8_t flag;
		char letter;
	} flags[] = { { LOOM_BACKEND_READY, 'R' },
		      { LOOM_BACKEND_TERMINATING, 'T' },
		      { LOOM_BACKEND_LOCAL, 'L' },
		      { LOOM_BACKEND_HOST, 'H' } };
	FILE *f = fmemopen(buf, size, "w");
	char addr[ADDR_STRLEN];

	buf[0] = 0;
	for (size_t i = 0; i < w->n; i++) {
		const struct want *b = &w->v[i];

		fprintf(f, "%s%s:%u %s ", i ? "; " : "", addr_format(&b->addr, addr), b->port,
			want_state_name(b->state));
		for (int kind = 0; kind < N_TABLES; kind++)
			if (b->tables & 1 << kind)
				fputc("clo"[kind], f);
		fputs(b->tables ? " " : "- ", f);
		for (size_t k = 0; k < ARRAY_SIZE(flags); k++)
			if (b->flags & flags[k].flag)
				fputc(flags[k].letter, f);
		fprintf(f, "%s@%u", b->own ? "O" : "", b->node);
	}
	fprintf(f, "%s%s", w->silent_in ? " silent-in" : "", w->silent_out ? " silent-out" : "");
	fclose(f);
}

static void semantics_are_kube_proxys(void **state)
{
	struct nodes nodes;

	make_nodes(&nodes);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice_object *slices[MAX_SLICES] = {};
		_cleanup_(service_object_freep) struct service_object *svc = NULL;
		_json_ *o = object(cases[i].service);
		struct wants w = {};
		char got[1024] = "";
		size_t n = 0;

		svc = service_object_new(o);
		assert_int_equal(svc->n_ports, 1);
		for (; n < MAX_SLICES && cases[i].slices[n]; n++) {
			_json_ *s = object(cases[i].slices[n]);

			slices[n] = slice_object_new(s);
			assert_non_null(slices[n]);
		}
		assert_int_equal(compile_port(svc, &svc->ports[0], 0, slices, n, &nodes, &w), 0);
		describe(&w, got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s:\n  is   %s\n  want %s", cases[i].name, got, cases[i].want);
		wants_clear(&w);
		while (n)
			slice_object_free(slices[--n]);
	}
	nodes_fini(&nodes);
}

/* ---- objects ---- */

static const struct {
	const char *name, *object, *problem; /* first of them; NULL: none */
	size_t n_addrs, n_ports;
} services[] = {
	{ "ExternalName is nothing", "'spec':{'type':'ExternalName','ports':[{'port':80}]}",
	  "an ExternalName is", 0, 0 },
	{ "headless is nothing",
	  "'spec':{'clusterIP':'None','clusterIPs':['None'],'ports':[{'port':80}]}",
	  "it is headless", 0, 0 },
	{ "headless by its list alone", "'spec':{'clusterIPs':['None'],'ports':[{'port':80}]}",
	  "it is headless", 0, 0 },
	{ "another proxy's, whatever the label says",
	  "'metadata':{'labels':{'service.kubernetes.io/service-proxy-name':null}},"
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}",
	  "its label service.kubernetes.io/service-proxy-name", 0, 0 },
	{ "both families", "'spec':{'clusterIPs':['10.96.0.1','fd00:96::1'],'ports':[{'port':80}]}",
	  NULL, 2, 1 },
	{ "one field for old servers", "'spec':{'clusterIP':'10.96.0.1','ports':[{'port':80}]}",
	  NULL, 1, 1 },
	{ "port 0", "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':0},{'port':81}]}",
	  "spec.ports[0].port: ", 1, 1 },
	{ "a port above 65535", "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':65536}]}",
	  "spec.ports[0].port: ", 1, 0 },
	{ "a port that is text", "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':'80'}]}",
	  "spec.ports[0].port: want an integer, found a string", 1, 0 },
	{ "a protocol that is none",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'protocol':'ICMP'}]}",
	  "spec.ports[0].protocol: 'ICMP' is none of TCP, UDP and SCTP", 1, 0 },
	{ "a nodePort above 65535 leaves the rest",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'nodePort':70000}]}",
	  "spec.ports[0].nodePort: ", 1, 1 },
	{ "a malformed address leaves the others",
	  "'spec':{'clusterIPs':['10.96.0.256','fd00::1'],'ports':[{'port':80}]}",
	  "spec.clusterIPs[0]: '10.96.0.256'", 1, 1 },
	{ "a loopback externalIP",
	  "'spec':{'clusterIPs':['10.96.0.1'],'externalIPs':['127.0.0.1'],'ports':[]}",
	  "spec.externalIPs[0]: '127.0.0.1' is a loopback address", 1, 0 },
	{ "a multicast ingress address",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[]},'status':{'loadBalancer':{'ingress':[{'"
	  "ip':'224.0.0.1'}]}}",
	  "status.loadBalancer.ingress[0].ip: '224.0.0.1' is no unicast address", 1, 0 },
	{ "ipMode Proxy is not ours",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[]},'status':{'loadBalancer':{'ingress':[{'"
	  "ip':'192.0.2.1','ipMode':'Proxy'},{'ip':'192.0.2.2','ipMode':'VIP'},{'hostname':'x'}]}}",
	  NULL, 2, 0 },
	{ "addresses that are no list", "'spec':{'clusterIPs':'10.96.0.1','ports':[{'port':80}]}",
	  "spec.clusterIPs: want an array, found a string", 0, 1 },
	{ "a port that is no object", "'spec':{'clusterIPs':['10.96.0.1'],'ports':[80]}",
	  "spec.ports[0]: want an object, found a number", 1, 0 },
	{ "an unknown policy",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[],'externalTrafficPolicy':'Near'}",
	  "spec.externalTrafficPolicy: 'Near' is neither Local nor Cluster", 1, 0 },
	{ "an unknown family",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ipFamilies':['IPv5'],'ports':[]}",
	  "spec.ipFamilies[0]: 'IPv5' is neither IPv4 nor IPv6", 1, 0 },
	{ "a port that is there twice",
	  "'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'nodePort':1},"
	  "{'port':80,'nodePort':2},{'port':80,'protocol':'UDP'},{'port':80,'name':'x'}]}",
	  "spec.ports[1].port: 80 is there twice", 1, 3 },
	{ "an empty object", "", NULL, 0, 0 },
};

static void services_tell_what_is_wrong_and_keep_the_rest(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		_cleanup_(service_object_freep) struct service_object *svc = NULL;
		_json_ *o = object(services[i].object);
		const char *told;

		svc = service_object_new(o);
		assert_non_null(svc);
		told = svc->problems.n ? svc->problems.v[0] : svc->not_served ?: "";
		if (svc->n_addrs != services[i].n_addrs || svc->n_ports != services[i].n_ports)
			fail_msg("%s: %zu addresses, %zu ports", services[i].name, svc->n_addrs,
				 svc->n_ports);
		if (services[i].problem
			    ? strncmp(told, services[i].problem, strlen(services[i].problem)) != 0
			    : *told)
			fail_msg("%s: '%s'", services[i].name, told);
	}
}

static const struct {
	const char *name, *endpoints, *problem;
	size_t n;
} slices[] = {
	{ "good", "{'addresses':['10.1.0.1','10.1.0.9']}", NULL, 1 },
	{ "no address", "{'addresses':[]},{'addresses':['10.1.0.1']}", NULL, 1 },
	{ "malformed", "{'addresses':['10.1.0']},{'addresses':['10.1.0.1']}",
	  "endpoints[0].addresses[0]: '10.1.0'", 1 },
	{ "of the other family", "{'addresses':['fd00::1']}",
	  "endpoints[0].addresses[0]: 'fd00::1' is not of the slice's addressType", 0 },
	{ "a number", "{'addresses':[7]}",
	  "endpoints[0].addresses[0]: want a string, found a number", 0 },
	{ "loopback", "{'addresses':['127.0.0.1']}",
	  "endpoints[0].addresses[0]: '127.0.0.1' is a loopback address", 0 },
	{ "link-local", "{'addresses':['169.254.0.1']}",
	  "endpoints[0].addresses[0]: '169.254.0.1' is a link-local address", 0 },
	{ "unspecified", "{'addresses':['0.0.0.0']}",
	  "endpoints[0].addresses[0]: '0.0.0.0' is unspecified", 0 },
	{ "conditions of a wrong type are the default",
	  "{'addresses':['10.1.0.1'],'conditions':{'ready':'no'}}",
	  "endpoints[0].conditions.ready: want", 1 },
	{ "a node's name of a wrong type", "{'addresses':['10.1.0.1'],'nodeName':3}",
	  "endpoints[0].nodeName: want a string, found a number", 1 },
	{ "no object", "1,{'addresses':['10.1.0.1']}",
	  "endpoints[0]: want an object, found a number", 1 },
};

static void slices_tell_what_is_wrong_and_keep_the_rest(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(slices); i++) {
		_cleanup_(slice_object_freep) struct slice_object *s = NULL;
		_json_ *o = NULL;
		char text[1024];
		const char *told;

		snprintf(text, sizeof(text),
			 "'addressType':'IPv4','ports':[{'port':1}],'endpoints':[%s]",
			 slices[i].endpoints);
		o = object(text);
		s = slice_object_new(o);
		told = s->problems.n ? s->problems.v[0] : "";
		if (s->n_endpoints != slices[i].n)
			fail_msg("%s: %zu endpoints", slices[i].name, s->n_endpoints);
		if (slices[i].problem
			    ? strncmp(told, slices[i].problem, strlen(slices[i].problem)) != 0
			    : *told)
			fail_msg("%s: '%s'", slices[i].name, told);
	}
}

static void problems_are_bounded(void **state)
{
	_cleanup_(service_object_freep) struct service_object *svc = NULL;
	_json_ *o = object("'spec':{'clusterIPs':[1,2,3,4,5,6,7,8,9,10,11,12]}");

	svc = service_object_new(o);
	assert_int_equal(svc->problems.n, PROBLEMS_MAX);
	assert_int_equal(svc->problems.more, 12 - PROBLEMS_MAX);
}

static const struct {
	const char *name, *object, *problem;
	size_t n;
	bool restricted;
} ranges[] = {
	{ "none", "'spec':{'clusterIPs':['10.96.0.1']}", NULL, 0, false },
	{ "two",
	  "'spec':{'clusterIPs':['10.96.0.1'],'loadBalancerSourceRanges':['10.0.0.7/8','fd00::/"
	  "8']}",
	  NULL, 2, true },
	{ "one of them is wrong",
	  "'spec':{'clusterIPs':['10.96.0.1'],'loadBalancerSourceRanges':['10.0.0.0/40','fd00::/"
	  "8']}",
	  "spec.loadBalancerSourceRanges[0]: '10.0.0.0/40'", 1, true },
	{ "all are wrong: nobody passes",
	  "'spec':{'clusterIPs':['10.96.0.1'],'loadBalancerSourceRanges':['any']}",
	  "spec.loadBalancerSourceRanges[0]: 'any'", 0, true },
	{ "no list: nobody passes",
	  "'spec':{'clusterIPs':['10.96.0.1'],'loadBalancerSourceRanges':'10.0.0.0/8'}",
	  "spec.loadBalancerSourceRanges: want an array", 0, true },
	{ "the annotation of old",
	  "'metadata':{'annotations':{'service.beta.kubernetes.io/"
	  "load-balancer-source-ranges':'10.0.0.0/8, "
	  "192.0.2.0/24'}},'spec':{'clusterIPs':['10.96.0.1']}",
	  NULL, 2, true },
	{ "the field comes before the annotation",
	  "'metadata':{'annotations':{'service.beta.kubernetes.io/"
	  "load-balancer-source-ranges':'10.0.0.0/8,192.0.2.0/"
	  "24'}},'spec':{'clusterIPs':['10.96.0.1'],'loadBalancerSourceRanges':['10.0.0.0/8']}",
	  NULL, 1, true },
};

static void json_fill(struct json_object *list, size_t n, const char *fmt)
{
	char text[80];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), fmt, i / 250, i % 250 + 1);
		json_append(list, quoted_json(text));
	}
}

/* A Service of 10,000 of each would be a hundred million frontends. */
static void what_one_service_can_take_is_bounded(void **state)
{
	_cleanup_(service_object_freep) struct service_object *svc = NULL;
	_json_ *o = object("'spec':{'externalIPs':[],'ports':[],'loadBalancerSourceRanges':[]}");

	json_fill(json_path(o, "spec.externalIPs"), 10000, "'10.2.%zu.%zu'");
	json_fill(json_path(o, "spec.ports"), 10000, "{'port':80,'name':'p%zu-%zu'}");
	json_fill(json_path(o, "spec.loadBalancerSourceRanges"), 10000, "'10.2.%zu.%zu/32'");
	svc = service_object_new(o);
	assert_int_equal(svc->n_addrs, 128);
	assert_int_equal(svc->n_ports, 1024);
	assert_int_equal(svc->n_ranges, 1024);
	assert_string_equal(svc->problems.v[0], "spec.externalIPs: 10000 are too many, only the "
						"first 128 count");
}

static void source_ranges_that_cant_be_read_let_nobody_in(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		_cleanup_(service_object_freep) struct service_object *svc = NULL;
		_json_ *o = object(ranges[i].object);
		const char *told;

		svc = service_object_new(o);
		told = svc->problems.n ? svc->problems.v[0] : "";
		if (svc->n_ranges != ranges[i].n || svc->has_ranges != ranges[i].restricted)
			fail_msg("%s: %zu ranges, %s", ranges[i].name, svc->n_ranges,
				 svc->has_ranges ? "restricted" : "free");
		if (ranges[i].problem ? !strstr(told, ranges[i].problem) : *told)
			fail_msg("%s: '%s'", ranges[i].name, told);
	}
}

static void policies_and_affinity_are_read(void **state)
{
	_cleanup_(service_object_freep) struct service_object *svc = NULL, *other = NULL;
	_json_ *a = object("'spec':{'clusterIPs':['10.96.0.1'],'externalTrafficPolicy':'Local',"
			   "'internalTrafficPolicy':'Cluster','healthCheckNodePort':31000,"
			   "'sessionAffinity':'ClientIP','sessionAffinityConfig':"
			   "{'clientIP':{'timeoutSeconds':90}}}");
	_json_ *b = object("'spec':{'clusterIPs':['10.96.0.1'],'sessionAffinity':'ClientIP',"
			   "'healthCheckNodePort':31000}");

	svc = service_object_new(a);
	assert_true(svc->local_out && !svc->local_in && svc->affinity);
	assert_int_equal(svc->affinity_s, 90);
	assert_int_equal(svc->health_port, 31000);
	other = service_object_new(b);
	assert_int_equal(other->affinity_s, 10800);
	assert_int_equal(other->health_port, 0);
}

static void ready_endpoints_of_this_node_are_counted_once(void **state)
{
	struct slice_object *list[3];
	size_t n;
	const char *text[] = { SLICE(EP(1, NODE(1)) "," EP(2, NODE(1)) "," EP(3, NODE(2))),
			       SLICE(EP(1, NODE(1)) "," EP(4, NODE(1) UNREADY)),
			       "'addressType':'IPv6','ports':[],'endpoints':"
			       "[{'addresses':['fd00::1'],'nodeName':'node1'}]" };

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		_json_ *o = object(text[i]);

		list[i] = slice_object_new(o);
	}
	assert_int_equal(compile_local_ready(list, 3, "node1", &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(compile_local_ready(list + 2, 1, "node1", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(compile_local_ready(list, 3, "node9", &n), 0);
	assert_int_equal(n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		slice_object_free(list[i]);
}

/* ---- tables ---- */

static void local_weight_gives_local_backends_more_slots(void **state)
{
	struct want v[] = { { .tables = 1, .flags = LOOM_BACKEND_LOCAL }, { .tables = 1 } };
	const bool usable[] = { true, true }, second[] = { false, true };
	struct wants w = { .v = v, .n = 2 };
	uint32_t *slots, n;

	assert_int_equal(compile_table(&w, TABLE_CLUSTER, usable, 3, &slots, &n), 0);
	assert_int_equal(n, 4);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(slots[i], i == 3);
	free(slots);
	assert_int_equal(compile_table(&w, TABLE_CLUSTER, second, 3, &slots, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(slots[0], 1);
	free(slots);
}

static void one_backend_needs_one_slot_and_none_none(void **state)
{
	struct want one = { .tables = 1 << TABLE_OUT, .port = 80 };
	struct wants w = { .v = &one, .n = 1 };
	const bool yes = true, no = false;
	uint32_t *slots, n;

	assert_int_equal(compile_table(&w, TABLE_OUT, &yes, 100, &slots, &n), 0);
	assert_int_equal(n, 1);
	free(slots);
	assert_int_equal(compile_table(&w, TABLE_OUT, &no, 100, &slots, &n), 0);
	assert_int_equal(n, 0);
	assert_null(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(semantics_are_kube_proxys),
		cmocka_unit_test(services_tell_what_is_wrong_and_keep_the_rest),
		cmocka_unit_test(slices_tell_what_is_wrong_and_keep_the_rest),
		cmocka_unit_test(problems_are_bounded),
		cmocka_unit_test(what_one_service_can_take_is_bounded),
		cmocka_unit_test(source_ranges_that_cant_be_read_let_nobody_in),
		cmocka_unit_test(policies_and_affinity_are_read),
		cmocka_unit_test(ready_endpoints_of_this_node_are_counted_once),
		cmocka_unit_test(local_weight_gives_local_backends_more_slots),
		cmocka_unit_test(one_backend_needs_one_slot_and_none_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
