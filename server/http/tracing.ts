/**
 * OpenTelemetry traces, when an OTLP endpoint is set. The SDK is only loaded then: it would cost every start
 * time and memory.
 */
import { setTimeout } from "node:timers/promises";
import type { Span, Tracer } from "@opentelemetry/api";

let tracer: Tracer | null = null;
let contextFrom: ((traceparent: string | undefined) => import("@opentelemetry/api").Context) | null = null;

/** How long a collector may take; its retries are within it. */
const EXPORT_MS_MAX = 5_000;
/** How long a stop waits for the last spans to be sent. */
const FLUSH_MS_MAX = 2_000;

export interface RequestSpan {
  end(route: string, status: number): void;
}

/** Starts exporting spans to `endpoint` (OTLP over HTTP, `/v1/traces` is added). Returns what flushes and stops. */
export async function startTracing(endpoint: string, version: string): Promise<() => Promise<void>> {
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import("@opentelemetry/api"),
    import("@opentelemetry/sdk-trace-node"),
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/resources"),
  ]);
  const url = endpoint.endsWith("/v1/traces") ? endpoint : `${endpoint.replace(/\/$/, "")}/v1/traces`;
  const provider = new sdk.NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": "statehouse", "service.version": version }),
    spanProcessors: [
      new sdk.BatchSpanProcessor(new OTLPTraceExporter({ url, timeoutMillis: EXPORT_MS_MAX })),
    ],
  });
  provider.register();
  tracer = provider.getTracer("statehouse");
  contextFrom = (traceparent) =>
    traceparent === undefined ? api.ROOT_CONTEXT : api.propagation.extract(api.ROOT_CONTEXT, { traceparent });
  return async () => {
    tracer = null;
    contextFrom = null;
    // A collector that is away has had its chance; a stop doesn't wait for it.
    await Promise.race([
      provider.shutdown().catch(() => undefined),
      setTimeout(FLUSH_MS_MAX, null, { ref: false }),
    ]);
  };
}

/** Null while tracing is off. The caller's `traceparent` becomes the parent. */
export function startSpan(method: string, path: string, traceparent: unknown): RequestSpan | null {
  if (tracer === null || contextFrom === null) return null;
  const parent = contextFrom(typeof traceparent === "string" ? traceparent : undefined);
  const attributes = { "http.request.method": method, "url.path": path };
  const span: Span = tracer.startSpan(method, { kind: 1, attributes }, parent);
  return {
    end(route, status) {
      span.updateName(`${method} ${route}`);
      span.setAttributes({ "http.route": route, "http.response.status_code": status });
      if (status >= 500) span.setStatus({ code: 2 });
      span.end();
    },
  };
}
