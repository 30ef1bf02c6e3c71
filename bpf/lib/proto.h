/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* Numbers of the protocols on the wire that the core looks at (RFC 9293, 792, 4443, 4861). */

#define IP_DF	  0x4000
#define IP_MF	  0x2000
#define IP_OFFSET 0x1fff

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHO_REPLY	 0
#define ICMP_ECHO	 8
#define ICMP_UNREACH	 3
#define ICMP_TIME_EXCEED 11
#define ICMP_PARAM	 12
#define ICMP6_ECHO	 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_ND_FIRST	 130 /* MLD, then ND, up to redirect and MLDv2 */
#define ICMP6_ND_LAST	 137
#define ICMP6_MLD2	 143
