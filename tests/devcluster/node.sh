# shellcheck shell=bash disable=SC2154  # variables are devcluster's
# One real node: containerd, runc, CNI bridge, kubelet and kube-proxy, in a box with the control plane. Sourced by devcluster.
#
#   this machine                      box: network, mounts and processes of its own
#   198.19.x.1  ks-HASH ───────────── outside  198.19.x.2  (API server, kubelet)
#                                     dev0     10.88.0.1   (bridge; pods are 10.88.0.0/16, services 10.96.0.0/16)
#
# Only this one link and its two addresses are seen on the machine. HASH comes from the folder's name.

# Where servers and administration tools lie; not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

tag() { printf %s "$PWD" | sha256sum | cut -c1-8; }

node_needs() {
  local package proof missing=()
  while read -r package proof; do
    if [[ $proof == /* ]]; then [ -e "$proof" ]; else command -v "$proof" >/dev/null; fi || missing+=("$package")
  done <<EOF2
containerd containerd
runc runc
containernetworking-plugins /usr/lib/cni/bridge
iproute2 ip
nftables nft
buildah buildah
gcc cc
socat socat
EOF2
  [ ${#missing[@]} = 0 ] || die "a node needs these Debian packages, which are missing: ${missing[*]}; \`tests/setup node\` installs them"
  [ "$(id -u)" = 0 ] || die "a node needs root, for namespaces and containers"
  [ -z "${KUBEBUILDER_ASSETS:-}" ] || die "KUBEBUILDER_ASSETS has no kubelet: unset it for a cluster with a node"
}

# The program of pods' sandboxes, which is the box's first process too. Built once.
pause_program() {
  local source key
  source='#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void on(int s) { if (s == SIGCHLD) while (waitpid(-1, 0, WNOHANG) > 0); else _exit(0); }
int main(void) { signal(SIGTERM, on); signal(SIGINT, on); signal(SIGCHLD, on); on(SIGCHLD); for (;;) pause(); }'
  key=$(printf %s "$source" | sha256sum | cut -c1-16)
  if [ ! -x "$cache/pause-$key" ]; then
    cc -static -Os -x c -o "$cache/pause-$key.$$" - <<<"$source" || die "the pods' pause program does not build"
    mv "$cache/pause-$key.$$" "$cache/pause-$key"
  fi
  echo "$cache/pause-$key"
}

cgroup_trees() { awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts; }

# Sets `address` and `inside`.
open_box() {
  local box hash at host
  rm -f box.ready
  start unshare unshare --mount --net --pid --fork --kill-child "$here/box" "$PWD" "$1"
  for _ in $(seq 1 600); do
    [ ! -e box.ready ] || break
    running unshare.pid || { tail -5 unshare.log >&2; die "the node's namespaces cannot be made"; }
    sleep 0.05
  done
  read -r box _ <box.pid
  inside=(nsenter --target "$box" --mount --net --pid --)
  hash=$(tag)
  at=$((16#${hash:0:4} % 16384 * 4))
  while :; do
    host=198.19.$((at / 256)).$((at % 256 + 1)) address=198.19.$((at / 256)).$((at % 256 + 2))
    [ -n "$(ip -4 -oneline address show to "$host/30")" ] || break
    at=$(((at + 4) % 65536))
  done
  ip link add "ks-$hash" type veth peer name outside netns "$box"
  ip address add "$host/30" dev "ks-$hash"
  ip link set "ks-$hash" up
  "${inside[@]}" ip link set lo up
  "${inside[@]}" ip address add "$address/30" dev outside
  "${inside[@]}" ip link set outside up
  # Addresses of this machine on the links of other clusters: a server that one of them uses serves all.
  "${inside[@]}" ip route add 198.19.0.0/16 via "$host"
  # So that also the node itself, not only its pods, can ask for a service.
  "${inside[@]}" ip route add 10.96.0.0/16 dev outside src "$address"
  for tree in $(cgroup_trees); do mkdir -p "$tree/kubestash-$hash"; done
}

# What is left when the box is gone.
clear_node() {
  local hash tree
  hash=$(tag)
  if [ -e "/sys/class/net/ks-$hash" ]; then ip link delete "ks-$hash" 2>/dev/null || true; fi
  for tree in $(cgroup_trees); do
    [ ! -d "$tree/kubestash-$hash" ] || find "$tree/kubestash-$hash" -depth -type d -exec rmdir {} +
  done
}

start_containerd() { start containerd containerd --config "$PWD/node/containerd.toml"; }

start_kubelet() {
  start kubelet "$binary" kubelet --config "$PWD/node/kubelet.yaml" --kubeconfig "$PWD/kubelet.kubeconfig" --hostname-override node1 \
    --root-dir "$PWD/node/kubelet" --cert-dir "$PWD/node/pki" --node-ip "$address"
}

# Kubelet and containerd are killed and start anew; containers outlive that, as on any node whose runtime is replaced.
restart_node() {
  local box binary name pid
  running box.pid || die "no node runs in $PWD"
  read -r box _ <box.pid
  inside=(nsenter --target "$box" --mount --net --pid --)
  address=$(sed -n 's,.*https://\([0-9.]*\):.*,\1,p' admin.kubeconfig)
  binary=$(build)
  for name in kubelet containerd; do
    read -r pid _ <$name.pid
    # The record is of nsenter, which waits in front of the namespace for the program inside.
    # shellcheck disable=SC2046  # one id
    kill -KILL $(cat "/proc/$pid/task/$pid/children")
  done
  kill_all kubelet.pid containerd.pid
  rm -f node/containerd.sock
  start_containerd
  # A kubelet that finds no runtime ends.
  for _ in $(seq 1 300); do
    if "${inside[@]}" ctr --address "$PWD/node/containerd.sock" version >/dev/null 2>&1; then break; fi
    sleep 0.1
  done
  start_kubelet
  sleep 1
  for name in containerd kubelet; do running $name.pid || { tail -5 $name.log >&2; die "$name has ended"; }; done
}

start_node() { # pause program
  local d=$PWD/node hash
  hash=$(tag)
  mkdir -p "$d/cni" "$d/pause"
  # What ran before a crash does not run any more.
  rm -rf "$d/state" "$d/containerd.sock"
  cat >"$d/cni/10-bridge.conflist" <<EOF2
{"cniVersion": "0.4.0", "name": "dev", "plugins": [
  {"type": "bridge", "bridge": "dev0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF2
  # Without restrict_oom_score_adj no container starts where root may not lower that value, as in many virtual machines.
  cat >"$d/containerd.toml" <<EOF2
version = 2
root = "$d/root"
state = "$d/state"
[grpc]
  address = "$d/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$d/cni"
EOF2
  # Pods' control groups lie under one of the cluster's own: two kubelets would clear away each other's.
  cat >"$d/kubelet.yaml" <<EOF2
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PWD/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PWD/kubelet.crt
tlsPrivateKeyFile: $PWD/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /kubestash-$hash
containerRuntimeEndpoint: unix://$d/containerd.sock
podLogsDir: $d/pods
failSwapOn: false
# Images cannot be fetched again: they are not to be removed however full the disk is.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", nodefs.inodesFree: "1%", imagefs.available: "1%"}
clusterDomain: cluster.local
resolvConf: ""
EOF2
  cat >"$d/proxy.yaml" <<EOF2
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: $address
clusterCIDR: 10.88.0.0/16
hostnameOverride: node1
conntrack: {maxPerCore: 0}
clientConnection: {kubeconfig: $PWD/proxy.kubeconfig}
EOF2
  start_containerd
  cp "$1" "$d/pause/pause"
  printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' >"$d/pause/Containerfile"
  import_image localhost/pause:1 "$d/pause"
  start_kubelet
  start proxy "$binary" kube-proxy --config "$d/proxy.yaml"
  for _ in $(seq 1 600); do
    [[ $("$binary" kubectl --kubeconfig admin.kubeconfig get node node1 -o "jsonpath={.status.conditions[?(@.type=='Ready')].status}" 2>/dev/null) != True ]] || return 0
    for name in containerd kubelet proxy; do running $name.pid || { tail -5 $name.log >&2; die "$name has ended"; }; done
    sleep 0.2
  done
  tail -5 kubelet.log >&2
  die "the node does not get ready"
}

# Builds inside the box, where buildah's files are seen by nobody else.
import_image() { # tag, folder
  local d=$PWD/node box work
  running box.pid || die "no node runs in $PWD"
  read -r box _ <box.pid
  work=$(mktemp -d "$d/image.XXXXXX")
  cp -a "$2" "$work/context"
  echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"
  # shellcheck disable=SC2016  # expanded inside
  nsenter --target "$box" --mount --net --pid -- env STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR="$work" bash -euo pipefail -c '
    buildah() { command buildah --root "$work/root" --runroot "$work/run" "$@"; }
    ctr() { command ctr --address "$socket" --namespace k8s.io "$@"; }
    work=$1 tag=$2 socket=$3
    buildah build --signature-policy "$work/policy.json" --network none --quiet --timestamp 0 --tag "$tag" "$work/context"
    buildah push --signature-policy "$work/policy.json" --disable-compression --quiet "$tag" "oci-archive:$work/image.tar:$tag"
    for _ in $(seq 1 300); do if ctr version; then break; fi; sleep 0.1; done
    ctr images import "$work/image.tar"' build "$work" "$1" "$d/containerd.sock" >"$work/log" 2>&1 || {
    tail -20 "$work/log" >&2
    rm -rf "$work"
    die "the image $1 cannot be built and imported"
  }
  rm -rf "$work"
}
