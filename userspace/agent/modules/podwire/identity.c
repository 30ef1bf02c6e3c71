// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/podwire/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/paths.h"
#include "shared/loom_limits.h"

/* FNV-1a with a final mix (MurmurHash3's), since all its bits are used. */
static uint64_t hash(const struct attachment *att, uint64_t seed)
{
	const char *parts[] = { att->container_id, att->ifname };
	uint64_t h = 0xcbf29ce484222325u ^ seed;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (const char *c = parts[i]; *c; c++)
			h = (h ^ (uint8_t)*c) * 0x100000001b3u;
		h = (h ^ '/') * 0x100000001b3u;
	}
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static void mac_from(uint64_t h, uint8_t ret[6])
{
	ret[0] = 0x02;
	for (int i = 1; i < 6; i++, h >>= 8)
		ret[i] = h;
}

void podwire_identify(struct attachment *att)
{
	snprintf(att->host_ifname, sizeof(att->host_ifname), NETLOOM_POD_LINK_PREFIX "%012llx",
		 (unsigned long long)(hash(att, 1) & 0xffffffffffffu));
	mac_from(hash(att, 2), att->mac);
	mac_from(hash(att, 3), att->hmac);
	/* Two hashes of 40 bits may meet; the ends of one cable must not. */
	if (memcmp(att->mac, att->hmac, sizeof(att->mac)) == 0)
		att->hmac[5] ^= 1;
}

char *podwire_alias(const struct attachment *att)
{
	char text[256];
	const char *ns = att->pod_namespace ? att->pod_namespace : "";
	const char *pod = att->pod_name ? att->pod_name : "";

	/* Names of pods have up to 253 bytes; what can't be spared is the container id. */
	snprintf(text, sizeof(text), "netloom %.63s/%.110s %.64s", ns, pod, att->container_id);
	return strdup(text);
}

unsigned int podwire_next_ifindex(struct nl_sock *nl, unsigned int from)
{
	unsigned int span = LOOM_MAX_IFINDEX - PODWIRE_FIRST_IFINDEX;
	struct nl_link link;

	if (from < PODWIRE_FIRST_IFINDEX || from >= LOOM_MAX_IFINDEX)
		from = PODWIRE_FIRST_IFINDEX;
	for (unsigned int i = 0; i < span; i++) {
		unsigned int n = PODWIRE_FIRST_IFINDEX + (from - PODWIRE_FIRST_IFINDEX + i) % span;

		if (nl_link_get(nl, n, NULL, &link, NULL) == -ENODEV)
			return n;
	}
	return 0;
}
