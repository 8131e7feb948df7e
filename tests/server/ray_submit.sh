#!/bin/bash
# The commands at the head of pipeline.yaml, as a user types them, against a real sshd on this machine.
# Runs inside the private namespaces that test_ray_submit.py makes: network (loopback alone), processes, mounts.
# usage: ray_submit.sh ROOT WORK — the checkout with its .venv, and a folder for what the test looks at afterwards
set -euo pipefail
root=$1 work=$2

ip link set lo up
# Home, Ray's folder and sshd's are this namespace's own; the home folder shows what is there, and keeps nothing.
home=$(getent passwd root | cut -d: -f6)
mount -t tmpfs tmpfs "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work"
mount -t overlay overlay -o "lowerdir=$home,upperdir=$work/layers/upper,workdir=$work/layers/work" "$home"
mkdir -p /tmp/ray /run/sshd
mount -t tmpfs tmpfs /tmp/ray
mount -t tmpfs tmpfs /run/sshd
chmod 0755 /run/sshd
export HOME=$home
rm -rf "$HOME/.ray" "$HOME/.ssh" "$HOME/zero123"

mkdir -m 700 "$HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$HOME/.ssh/id_ed25519"
ssh-keygen -q -t ed25519 -N '' -f "$work/layers/hostkey"
cp "$HOME/.ssh/id_ed25519.pub" "$HOME/.ssh/authorized_keys"
printf '%s\n' 'Port 22' 'ListenAddress 127.0.0.1' "HostKey $work/layers/hostkey" "PidFile $work/layers/sshd.pid" \
  'UsePAM no' 'PasswordAuthentication no' 'PermitRootLogin prohibit-password' > "$work/layers/sshd_config"
"$(command -v sshd || echo /usr/sbin/sshd)" -f "$work/layers/sshd_config"

# The head finds the packages installed: no package index is reached from here. The project itself comes by rsync.
mkdir "$HOME/zero123"
ln -s "$(readlink -f "$root/.venv")" "$HOME/zero123/.venv"
export PATH=$root/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0 TERM=dumb TMPDIR=/tmp/ray
unset RAY_ADDRESS RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER PYTHONPATH

say() { printf '\n== %s ==\n' "$*"; }
submit() { ray submit --no-config-cache pipeline.yaml pipeline/submit.py -- "$@"; }
job() { RAY_AUTH_MODE=token ray job submit --address http://127.0.0.1:8265 -- "$@"; }
digest() { python3 pipeline/submit.py --project; }

cd "$work/checkout"
say up
ray get-auth-token --generate > /dev/null
ray up -y --no-config-cache pipeline.yaml

say build
tiny=(--set objects.folder="$work/objects" --set storage.root="$work/dataset" --set render.hw=[32,32]
  --set render.samples=1 --set run.workers=1)
submit --project "$(digest)" build "${tiny[@]}"

say again
submit build --project any "${tiny[@]}"

say sample
views=(sample "$work/photos" --on ray --orbit 2 --device cpu --set sample.steps=2 --set run.workers=1
  --out "$work/views")
submit --project "$(digest)" "${views[@]}"
say resample
submit --project any "${views[@]}"

say token
if RAY_AUTH_MODE=token RAY_AUTH_TOKEN=not-the-token timeout 60 ray status --address 127.0.0.1:6379; then
  echo "a wrong token was let in" && exit 1
fi
if RAY_AUTH_MODE=disabled timeout 60 ray status --address 127.0.0.1:6379; then
  echo "no token was let in" && exit 1
fi
RAY_AUTH_MODE=token ray status --address 127.0.0.1:6379

say unnamed
if submit build --dry-run "${tiny[@]}" || job python -m pipeline.submit build --dry-run "${tiny[@]}"; then
  echo "a project that nobody named was run" && exit 1
fi

say stale
refused() {
  if "$@" --project "$(digest)" build --dry-run "${tiny[@]}"; then
    echo "an old project was taken for the new one" && exit 1
  fi
}
sed -i '0,/^      seed: 0 /s//      seed: 7 /' pipeline.yaml
refused submit
sed -i '0,/^      seed: 7 /s//      seed: 0 /' pipeline.yaml
echo "# edited" >> base/seeds.py
refused submit
refused job python -m pipeline.submit
sed -i '0,/^      seed: 0 /s//      seed: 7 /' pipeline.yaml
ray rsync-up --all-nodes pipeline.yaml
say fresh
submit --project "$(digest)" build --dry-run "${tiny[@]}"

say job
job python -m pipeline.submit --project "$(digest)" build --dry-run "${tiny[@]}"

say down
ray down -y pipeline.yaml
kill "$(cat "$work/layers/sshd.pid")"
say done
