/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which services and slices there are, and which slice is whose. */
#include "agent/modules/services/private.h"
#include "api/etcd_keys.h"

#define KEY_SERVICE KEY_K8S "service/"
#define KEY_SLICE   KEY_K8S "endpointslice/"

/* "namespace/name" and the object, NULL when it is gone. Marks the service. 0 or -ENOMEM. */
int object_set_service(struct services *s, const char *key, struct json_object *obj);
int object_set_slice(struct services *s, const char *key, struct json_object *obj);
/* All of them anew; those that are no more go. */
int objects_resync(struct services *s);
void objects_release(struct services *s);

/* Logs what is wrong with it, when that is new. */
void service_tell(struct service *svc);
/* Frees it when nothing speaks of it any more. */
void service_forget_empty(struct services *s, struct service *svc);
