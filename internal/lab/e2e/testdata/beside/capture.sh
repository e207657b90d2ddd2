#!/bin/bash
# Captures what the real firewalld and ufw write, for the tests beside them:
#
#	capture.sh          as root, on Debian, with its package mirror in reach
#
# Nothing is installed: the packages are unpacked over a copy-on-write view of this host's files, in namespaces of their
# own with two links, wan and lan. firewalld runs there with a D-Bus of its own. What ufw calls is written down by
# recorders in the places of iptables and iptables-restore. At the end it shows two things of which the tests have copies:
# what each transaction of a reload of firewalld begins with (firewalld/reload), and what ufw makes of two commands.
set -euo pipefail
cd "$(dirname "$0")"

firewalld() {
	ln -s org.fedoraproject.FirewallD1.server.policy.choice /usr/share/polkit-1/actions/org.fedoraproject.FirewallD1.policy
	mkdir /run/dbus
	dbus-daemon --system --fork --nopidfile
	command firewalld --nofork --nopid &
	until firewall-cmd --state; do sleep 0.2; done 2>/dev/null
	firewall-cmd --permanent --zone=internal --add-interface=lan
	firewall-cmd --permanent --zone=public --add-interface=wan
	firewall-cmd --reload
	nft list ruleset >/without
	nft monitor >/monitor &
	firewall-cmd --permanent --zone=public --add-port=21/tcp
	firewall-cmd --reload
	nft list ruleset >/with
	diff --new-line-format="$mark%L" --unchanged-line-format=%L /without /with >/to/firewalld/ruleset.nft || true
	tr -d '\0' </monitor | awk 'NF && !begun++ { print } /^# new generation/ { getline; print }' >/to/transactions
}

ufw() {
	cp /usr/share/ufw/*.rules /usr/share/ufw/*.init /usr/share/ufw/ufw.conf /etc/ufw/
	for chain in input forward; do
		sed -i "s/^# End required lines/&\n-A ufw-before-$chain -m connmark --mark 0x400\/0x400 -j ACCEPT/" /etc/ufw/before.rules
		sed -i "s/^# End required lines/&\n-A ufw6-before-$chain -m connmark --mark 0x400\/0x400 -j ACCEPT/" /etc/ufw/before6.rules
	done
	chmod 640 /etc/ufw/*.rules
	record iptables ip6tables iptables-restore ip6tables-restore
	command ufw allow 22/tcp
	command ufw allow in on lan
	command ufw --force enable
	iptables-save | marked >/to/ufw/v4.rules
	ip6tables-save | marked >/to/ufw/v6.rules
	: >/calls
	command ufw reload
	marked </calls >/to/ufw/reload
	: >/calls
	command ufw allow proto tcp to 198.51.100.1 port 21
	command ufw allow proto tcp to 2001:db8:1::1 port 21
	cp /calls /to/allow
}

# Lines that the tests put in when they want them: what an admin does for ftpgate.
mark='#+ '
marked() { sed -e '/^#/d' -e "s/^-A .* -m connmark /$mark&/"; }

# record puts a recorder in the place of each program. What only looks (-L, -V, -Z, and ufw's own trials of what the
# kernel can) is not written down; what failed is, as something that may.
record() {
	mkdir /real
	for program; do
		ln -s /usr/sbin/xtables-nft-multi "/real/$program"
		rm "/usr/sbin/$program"
		sed "s/PROGRAM/$program/g" >"/usr/sbin/$program" <<-'END'
			#!/bin/bash
			case " $* " in *' -L '*|*' -V '*|*' -Z '*|*-caps-test*) exec /real/PROGRAM "$@";; esac
			case PROGRAM in
			*-restore)
				rules=$(grep -v -e '^#' -e '^$')
				/real/PROGRAM "$@" <<<"$rules"
				status=$?
				printf 'PROGRAM %s <<END\n%s\nEND\n' "$*" "$rules" >>/calls
				;;
			*)
				/real/PROGRAM "$@"
				status=$?
				echo "PROGRAM ${*@Q}" >>/calls
				;;
			esac
			[ $status = 0 ] || sed -i '$s/$/ || true/' /calls
			exit $status
		END
		chmod +x "/usr/sbin/$program"
	done
}

# inside is the rest, with the unpacked packages in place.
inside() {
	ip link set lo up
	for link in wan lan; do
		ip link add $link type veth peer name $link-peer
		ip link set $link up
	done
	"$1"
}

# over shows the unpacked packages over the host's files, and runs a command there.
over() {
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$work/over"
	mkdir "$work/over/upper" "$work/over/work"
	cp -a "$work/packages/." "$work/over/upper"
	mount -t overlay -o "lowerdir=/,upperdir=$work/over/upper,workdir=$work/over/work" overlay "$work/root"
	mount -t proc proc "$work/root/proc"
	mount -t sysfs sysfs "$work/root/sys"
	mount --bind /dev "$work/root/dev"
	mount -t tmpfs tmpfs "$work/root/run"
	mkdir "$work/root/to"
	mount --bind "$work/to" "$work/root/to"
	cp capture.sh "$work/root/capture.sh"
	exec chroot "$work/root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C bash /capture.sh inside "$1"
}

case ${1-} in
inside | over) "$1" "$2"; exit ;;
esac
work=$(mktemp -d)
export work
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{archives/partial,packages,over,root,to/firewalld,to/ufw}
apt-get install -qq -y --download-only -o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User=root firewalld ufw dbus-daemon nftables iptables
for package in "$work"/archives/*.deb; do
	dpkg -x "$package" "$work/packages"
done
if [ -d "$work/packages/lib" ]; then # /lib is a link to /usr/lib
	cp -a "$work/packages/lib/." "$work/packages/usr/lib"
	rm -r "$work/packages/lib"
fi
for firewall in firewalld ufw; do
	unshare --net --mount --pid --fork --kill-child bash "$PWD/capture.sh" over $firewall
done
cat "$work/to/transactions" "$work/to/allow"
cp -r "$work"/to/*/ .
