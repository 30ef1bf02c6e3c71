/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The keys below `etcd:` of a configuration file, the same for every program: a struct to put into
 * the program's own, fields for its table (lib/config/config.h), and the way to a store.
 *
 *	struct my_config {
 *		struct etcd_config etcd;
 *	};
 *	const struct config_field my_fields[] = {
 *		ETCD_CONFIG_FIELDS(struct my_config, etcd),
 *	};
 */
#include <stddef.h>

#include "lib/config/config.h"
#include "lib/store/store.h"

struct etcd_config {
	struct config_strings endpoints;
	char *ca_file, *cert_file, *key_file, *username, *password_file; /* "": none */
};

#define ETCD_CONFIG_FIELD(type_, member, key, kind, def_, doc_, ...)                    \
	{                                                                               \
		.path = "etcd." key, .type = (kind), .offset = offsetof(type_, member), \
		.def = (def_), .doc = (doc_), ##__VA_ARGS__                             \
	}
#define ETCD_CONFIG_FIELDS(type_, member)                                                        \
	ETCD_CONFIG_FIELD(type_, member.endpoints, "endpoints", CONFIG_STRINGS,                  \
			  "[http://127.0.0.1:2379]", "Client URLs of etcd; all of one cluster.", \
			  .min = 1, .max = 32),                                                  \
		ETCD_CONFIG_FIELD(type_, member.ca_file, "caFile", CONFIG_STRING, "\"\"",        \
				  "PEM file of the authority that signed etcd's certificate. "   \
				  "Empty: the system's."),                                       \
		ETCD_CONFIG_FIELD(type_, member.cert_file, "certFile", CONFIG_STRING, "\"\"",    \
				  "PEM file of the client certificate. Empty: none."),           \
		ETCD_CONFIG_FIELD(type_, member.key_file, "keyFile", CONFIG_STRING, "\"\"",      \
				  "PEM file of the client certificate's key."),                  \
		ETCD_CONFIG_FIELD(type_, member.username, "username", CONFIG_STRING, "\"\"",     \
				  "User of etcd's own access control. Empty: none."),            \
		ETCD_CONFIG_FIELD(type_, member.password_file, "passwordFile", CONFIG_STRING,    \
				  "\"\"",                                                        \
				  "File that holds the user's password in its first line.")

/* What one field can't tell; -EINVAL with the key. */
int etcd_config_check(const struct etcd_config *cfg, struct err *e);
/* A store by it; reads the password. */
int etcd_config_open(const struct etcd_config *cfg, struct event_base *base, struct store **ret,
		     struct err *e);
