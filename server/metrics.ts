/** What Prometheus scrapes. Labels are route patterns, never names of stacks or people. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Statistics } from "../db-adapters/contract.ts";

const NS_PER_SECOND = 1e9;

export interface Metrics {
  readonly registry: Registry;
  readonly requests: Histogram<"method" | "route" | "status">;
  readonly commits: Histogram;
  readonly commitSeconds: Histogram;
  readonly badDocuments: Counter;
  readonly replays: Histogram<"where">;
  readonly replayFailures: Counter;
  readonly gcRuns: Counter<"result">;
  readonly gcItems: Counter<"sweep">;
  readonly gcSeconds: Histogram;
  readonly signInFailures: Counter;
  /** Filled at each scrape from what `statistics` gives. */
  readonly setStatistics: (statistics: Statistics) => void;
  readonly setArtifactQuota: (quotaBytes: number | null) => void;
  readonly close: () => void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  new Gauge({
    name: "statehouse_event_loop_lag_p99_seconds",
    help: "99th percentile of the event loop's delay since the last scrape",
    registers,
    collect() {
      this.set(lag.percentile(99) / NS_PER_SECOND);
      lag.reset();
    },
  });
  const gauge = (name: string, help: string) => new Gauge({ name: `statehouse_${name}`, help, registers });
  const activeLeases = gauge("active_leases", "Updates that are running");
  const stacks = gauge("stacks", "Stacks");
  const stateBytes = gauge("state_bytes", "Plain bytes of all stored state versions");
  const stateVersions = gauge("state_versions", "Stored state versions");
  const artifacts = gauge("artifacts", "Stored artifacts, granted uploads included");
  const artifactBytes = gauge("artifact_bytes", "Plain bytes of all artifacts");
  const artifactQuota = gauge("artifact_quota_bytes", "Quota of an organization's artifacts; 0 for none");
  return {
    registry,
    requests: new Histogram({
      name: "statehouse_http_request_seconds",
      help: "Time from a request's head to the end of its answer",
      labelNames: ["method", "route", "status"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
      registers,
    }),
    commits: new Histogram({
      name: "statehouse_group_commit_size",
      help: "Writes that shared one commit",
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    }),
    commitSeconds: new Histogram({
      name: "statehouse_group_commit_seconds",
      help: "Time of a commit, with its fsync",
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5],
      registers,
    }),
    badDocuments: new Counter({
      name: "statehouse_bad_documents_total",
      help: "Deployment documents that failed verification",
      registers,
    }),
    replays: new Histogram({
      name: "statehouse_replay_seconds",
      help: "Time to replay an update's journal",
      labelNames: ["where"],
      buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60],
      registers,
    }),
    replayFailures: new Counter({
      name: "statehouse_replay_failures_total",
      help: "Journals that could not be replayed and were kept",
      registers,
    }),
    gcRuns: new Counter({
      name: "statehouse_gc_runs_total",
      help: "Sweeps by result",
      labelNames: ["result"],
      registers,
    }),
    gcItems: new Counter({
      name: "statehouse_gc_items_total",
      help: "What sweeps ended or removed",
      labelNames: ["sweep"],
      registers,
    }),
    gcSeconds: new Histogram({
      name: "statehouse_gc_seconds",
      help: "Time of a whole sweep",
      buckets: [0.005, 0.05, 0.5, 5, 60],
      registers,
    }),
    signInFailures: new Counter({
      name: "statehouse_sign_in_failures_total",
      help: "Requests with a token that is not valid",
      registers,
    }),
    setStatistics(statistics) {
      activeLeases.set(statistics.activeLeases);
      stacks.set(statistics.stacks);
      stateBytes.set(statistics.stateBytes);
      stateVersions.set(statistics.stateVersions);
      artifacts.set(statistics.artifacts);
      artifactBytes.set(statistics.artifactBytes);
    },
    setArtifactQuota: (quotaBytes) => artifactQuota.set(quotaBytes ?? 0),
    close() {
      lag.disable();
      registry.clear();
    },
  };
}
