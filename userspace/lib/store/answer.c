// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/store/codec.h"

/* google.golang.org/grpc/codes */
enum {
	CODE_UNKNOWN = 2,
	CODE_INVALID_ARGUMENT = 3,
	CODE_DEADLINE_EXCEEDED = 4,
	CODE_NOT_FOUND = 5,
	CODE_PERMISSION_DENIED = 7,
	CODE_RESOURCE_EXHAUSTED = 8,
	CODE_OUT_OF_RANGE = 11,
	CODE_UNAVAILABLE = 14,
	CODE_UNAUTHENTICATED = 16,
};

static bool says(const char *message, const char *words)
{
	return strstr(message, words) != NULL;
}

/* etcd's texts (api/v3rpc/rpctypes/error.go) tell apart what shares a code. */
int grpc_code_errno(int code, const char *m)
{
	switch (code) {
	case CODE_INVALID_ARGUMENT:
		if (says(m, "request is too large") || says(m, "too many operations"))
			return -E2BIG;
		if (says(m, "user name") || says(m, "authentication failed"))
			return -EACCES;
		return -EINVAL;
	case CODE_NOT_FOUND:
		return -ENOENT;
	case CODE_PERMISSION_DENIED:
	case CODE_UNAUTHENTICATED:
		return -EACCES;
	case CODE_RESOURCE_EXHAUSTED:
		if (says(m, "space exceeded"))
			return -ENOSPC;
		return says(m, "larger than max") ? -E2BIG : -EAGAIN;
	case CODE_OUT_OF_RANGE:
		return -ESTALE;
	case CODE_DEADLINE_EXCEEDED:
	case CODE_UNAVAILABLE:
		return -EAGAIN;
	default:
		return -EPROTO;
	}
}

int error_decode(struct json_object *obj, struct err *e)
{
	const char *message = NULL;
	int64_t code = CODE_UNKNOWN;

	if (json_opt_str(obj, "message", &message, NULL) < 0 || !message)
		json_opt_str(obj, "error", &message, NULL);
	if (json_opt_int(obj, "grpc_code", 0, 1000, &code, NULL) < 0 || code == CODE_UNKNOWN)
		json_opt_int(obj, "code", 0, 1000, &code, NULL);
	if (!message || !message[0])
		message = "error without a message";
	err_set(e, grpc_code_errno(code, message), "%.300s", message);
	return code;
}
