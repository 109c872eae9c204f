/* Name services of a static binary: files and DNS, which are part of glibc.
 *
 * /etc/nsswitch.conf may name others (systemd, mDNS, LDAP), which are shared libraries. In a static program, glibc loads
 * them together with the glibc of the system. If that has another version, the program crashes: seen with the modules
 * of Debian 13 and glibc 2.36.
 */
#include <nss.h>

__attribute__((constructor)) static void use_builtin_services(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("networks", "files dns");
    __nss_configure_lookup("services", "files");
    __nss_configure_lookup("protocols", "files");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
    __nss_configure_lookup("shadow", "files");
}
