/** Settings and commands to copy, with the address of this installation. */

/** How Prometheus reads the metrics: with an API key, or on a listener of its own. */
export type Access = "key" | "listener";

/** Returns the job of a Prometheus that scrapes this installation. */
export function scrapeConfig(access: Access, address: URL): string {
  const head = `# prometheus.yml
scrape_configs:
  - job_name: hookstream`;
  if (access === "listener") {
    return `${head}
    static_configs:
      - targets: ["${address.hostname}:9464"]   # every node`;
  }
  return `${head}
    scheme: ${address.protocol.replace(":", "")}
    authorization:
      credentials_file: /etc/prometheus/hookstream.key
    static_configs:
      - targets: ["${address.host}"]   # every node`;
}

export const CREATE_KEY = `hookstream admin create-api-key \\
  --name prometheus --scopes operator:metrics`;

export const METRICS_LISTEN = `# hookstream.toml, on a network that only Prometheus reaches
metrics_listen = "127.0.0.1:9464"`;

export const LOG_SETTINGS = `# hookstream.toml
log_format = "json"
log = "info"   # or info,hookstream::access=off
log_lines_per_second = 100`;

export const BACKUP_SETTINGS = `# hookstream.toml
backup_dir = "/backup/hookstream"   # best on another disk
backup_at = "02:30"                 # UTC
backup_keep_days = 7`;

export const BACKUP_COMMAND = `hookstream backup /backup/hookstream \\
  --data-dir /var/lib/hookstream --keep 7d`;

export const PG_DUMP = `pg_dump -Fc -f hookstream.dump \\
  "$DATABASE_URL"`;

/** Returns the commands that check and restore the newest backup of a directory. */
export function restoreCommands(directory: string): string {
  return `hookstream restore ${directory} --check
hookstream restore ${directory} \\
  --data-dir /var/lib/hookstream`;
}
