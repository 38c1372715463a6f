/** Reads histograms out of the server's /metrics. */

export interface HistogramValues {
  readonly count: number;
  readonly sum: number;
  /** Cumulative, by upper bound; the last is `+Inf`. */
  readonly buckets: readonly { readonly upTo: string; readonly count: number }[];
}

export async function readHistogram(port: number, name: string): Promise<HistogramValues> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await answer.text();
  const readValue = (suffix: string) => {
    const match = new RegExp(`^${name}_${suffix} (\\S+)$`, "m").exec(text);
    if (match === null) throw new Error(`/metrics has no ${name}_${suffix}`);
    return Number(match[1]);
  };
  const lines = text.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"\\} (\\S+)$`, "gm"));
  const buckets = Array.from(lines, ([, upTo = "", count]) => ({ upTo, count: Number(count) }));
  return { count: readValue("count"), sum: readValue("sum"), buckets };
}

/** What was observed between two readings. */
export function between(before: HistogramValues, after: HistogramValues): HistogramValues {
  return {
    count: after.count - before.count,
    sum: after.sum - before.sum,
    buckets: after.buckets.map(({ upTo, count }, index) => ({
      upTo,
      count: count - (before.buckets[index]?.count ?? 0),
    })),
  };
}

/** "1: 3 %, ≤2: 0 %, ≤4: 97 %", without the empty ones. */
export function describeBuckets({ buckets, count }: HistogramValues): string {
  const shares = buckets.map(({ upTo, count: cumulative }, index) => {
    const own = cumulative - (buckets[index - 1]?.count ?? 0);
    return { upTo, percent: Math.round((own * 100) / Math.max(count, 1)) };
  });
  return shares
    .filter(({ percent }) => percent > 0)
    .map(({ upTo, percent }) => `≤${upTo}: ${percent} %`)
    .join(", ");
}
