/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * NetworkPolicy and ClusterNetworkPolicy: keeps the data plane's policy maps (shared/loom_pol.h) in
 * step with the cluster. A pod that is added has its policies before the request is answered,
 * provided that its object is known; until then it is closed. REST: /v1/policies[/<ns>/<pod>].
 */
