// SPDX-License-Identifier: Apache-2.0
/*
 * hostPorts: each pod of this node that has port mappings is a service of its own, with frontends
 * on this node's addresses and one endpoint, the pod.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/private.h"

#define PREFIX "hostport:"

static bool is_host_ports(const struct service *svc)
{
	return strncmp(svc->key, PREFIX, strlen(PREFIX)) == 0;
}

const union loom_addr *host_ports_pod(const struct service *svc, int family)
{
	if (!is_host_ports(svc))
		return NULL;
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		if (sl->obj->family == family && sl->obj->n_endpoints)
			return &sl->obj->endpoints[0].addr;
	return NULL;
}

/* Names tell mappings to one container port apart. */
static const char *port_name(struct texts *t, const struct port_mapping *m)
{
	char name[24 + ADDR_STRLEN], addr[ADDR_STRLEN];

	if (addr_is_zero(&m->host_ip))
		snprintf(name, sizeof(name), "%u", m->host_port);
	else
		snprintf(name, sizeof(name), "%u@%s", m->host_port, addr_format(&m->host_ip, addr));
	return texts_add(t, name, NULL);
}

static struct service_object *object_of(const struct attachment *att)
{
	_cleanup_(service_object_freep) struct service_object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->ports = calloc(att->n_ports, sizeof(*o->ports));
	if (!o->ports)
		return NULL;
	o->type = "HostPort";
	o->created = "";
	o->distribution = "";
	o->host_ports = true;
	o->families[0] = !addr_is_zero(&att->ips.ip4);
	o->families[1] = !addr_is_zero(&att->ips.ip6);
	for (size_t i = 0; i < att->n_ports; i++) {
		const struct port_mapping *m = &att->ports[i];

		o->ports[i] = (struct service_port){ .name = port_name(&o->texts, m),
						     .port = m->container_port,
						     .node_port = m->host_port,
						     .proto = m->proto,
						     .host_ip = m->host_ip };
		if (!o->ports[i].name)
			return NULL;
		o->n_ports++;
	}
	return TAKE_PTR(o);
}

static struct slice_object *slice_of(const struct services *s, const struct attachment *att,
				     int family)
{
	_cleanup_(slice_object_freep) struct slice_object *o = calloc(1, sizeof(*o));
	struct endpoint *ep;

	if (!o)
		return NULL;
	o->family = family;
	o->service = "";
	ep = o->endpoints = calloc(1, sizeof(*o->endpoints));
	o->ports = calloc(att->n_ports, sizeof(*o->ports));
	if (!o->endpoints || !o->ports)
		return NULL;
	*ep = (struct endpoint){ .addr = family ? att->ips.ip6 : att->ips.ip4,
				 .node = agent_cfg(s->agent)->node_name,
				 .zone = "",
				 .ready = true,
				 .serving = true };
	ep->pod_namespace = texts_add(&o->texts, att->pod_namespace, NULL);
	ep->pod = texts_add(&o->texts, att->pod_name, NULL);
	o->n_endpoints = 1;
	for (size_t i = 0; i < att->n_ports; i++)
		o->ports[o->n_ports++] = (struct endpoint_port){
			.name = port_name(&o->texts, &att->ports[i]),
			.port = att->ports[i].container_port,
			.proto = att->ports[i].proto,
		};
	for (size_t i = 0; i < o->n_ports; i++)
		if (!o->ports[i].name)
			return NULL;
	return ep->pod && ep->pod_namespace ? TAKE_PTR(o) : NULL;
}

static int add_slice(struct services *s, struct service *svc, const struct attachment *att,
		     int family)
{
	struct slice *sl = calloc(1, sizeof(*sl));

	if (!sl)
		return -ENOMEM;
	sl->obj = slice_of(s, att, family);
	if (!sl->obj) {
		free(sl);
		return -ENOMEM;
	}
	sl->service = svc;
	sl->next = svc->slices;
	svc->slices = sl;
	return 0;
}

static int fill(struct services *s, struct service *svc, const struct attachment *att)
{
	struct service_object *obj = object_of(att);
	int err = obj ? 0 : -ENOMEM;

	while (!err && svc->slices)
		slice_drop(s, svc->slices);
	for (int family = 0; !err && family < 2; family++)
		if (obj->families[family])
			err = add_slice(s, svc, att, family);
	if (err < 0) {
		service_object_free(obj);
		return err;
	}
	service_object_free(svc->obj);
	svc->obj = obj;
	svc->gone = false;
	return 0;
}

int host_ports_set(struct services *s, const struct attachment *att, bool there)
{
	char key[600], id[500], title[600];
	struct service *svc;
	int err = 0;

	if (!att->n_ports)
		return 0;
	snprintf(key, sizeof(key), PREFIX "%s", attachment_key(att, id, sizeof(id)));
	snprintf(title, sizeof(title), "%s/%s", att->pod_namespace, att->pod_name);
	svc = service_get(s, key, title);
	if (!svc)
		return -ENOMEM;
	svc->seen = true;
	if (there)
		err = fill(s, svc, att);
	else
		service_gone(s, svc);
	service_mark(s, svc);
	return err;
}

static int each(const struct attachment *att, void *arg)
{
	return host_ports_set(arg, att, true);
}

int host_ports_resync(struct services *s)
{
	int err;

	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		if (is_host_ports(svc))
			svc->seen = false;
	err = pods_foreach(s->agent, each, s);
	for (struct service *svc = s->all; !err && svc; svc = svc->hh.next)
		if (is_host_ports(svc) && !svc->seen)
			service_gone(s, svc);
	return err;
}
