# In uml.sh: a service whose runners may use little memory, and jobs that want more. One line NAME=VALUE for each finding.
set -u
config="--config /etc/kbd/config.toml"
mkdir -p /srv /var/lib/kbd
mount -t tmpfs -o mode=755 srv /srv
mount -t tmpfs -o mode=700 state /var/lib/kbd

deliver() {  # NAME; the candidate's source is read from stdin
  {
    cat << 'END'
reference: {kernel_type: torch, source_code: "def f(x): return x + x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [8], dtype: float32}}]}
evaluation: {num_correct_trials: 1, num_trials: 2}
timeout: 300
candidate:
  kernel_type: torch
  source_code: |
END
    sed 's/^/    /'
  } > "/srv/spool/inbox/.$1.tmp"
  mv "/srv/spool/inbox/.$1.tmp" "/srv/spool/inbox/$1.yaml"
}

kbd init --system /srv/spool
id kbd > /dev/null 2>&1 || useradd --system --home-dir /var/lib/kbd kbd
chown -R kbd: /srv/spool /var/lib/kbd
sed -i 's/^# memory_bytes = .*half.*/memory_bytes = 671088640/; s/^# correctness_s = .*/correctness_s = 250/' /etc/kbd/config.toml
systemctl enable --now /etc/kbd/kbd.service

# What they write into /tmp is memory of none of them alone: only their cgroup bounds it.
deliver herd << 'END'
import os, time
def f(x):
    for number in range(4):
        if os.fork() == 0:
            with open(f"/tmp/{number}", "wb") as file:
                for _ in range(15):
                    file.write(bytes(1 << 24))
            time.sleep(200)
    time.sleep(200)
    return 2 * x
END
deliver honest << 'END'
def f(x):
    return 2 * x
END
kbd wait --timeout 400 herd honest $config
for job in herd honest; do echo "$job=$(kbd show $job --json $config | tr -d '\n')"; done
echo "restarts=$(systemctl show kbd --value -p NRestarts)"
echo "health=$(kbd health $config)"
echo "doctor=$(kbd doctor --json $config | tr -d '\n')"
systemctl stop kbd
echo "result=$(systemctl show kbd --value -p Result)"
journalctl -u kbd --no-pager | tail -n 30
