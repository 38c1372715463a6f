/** The doors: TLS where it must be, nothing cached that is somebody's, no way around. */
import { expect, it } from "vitest";
import { SERVER_STOP_SECONDS } from "../../infra/facts.ts";
import { CASE_NAMES, configOf } from "./cases.ts";
import { all, describeCases, one } from "./support.ts";

const withEdge = (edge: string | undefined) => CASE_NAMES.filter((name) => configOf(name).edge === edge);

describeCases(withEdge(undefined), (made, name) => {
  it("has an internal balancer behind CloudFront, and no public one", () => {
    expect(one(made(), "lb/loadBalancer").inputs).toMatchObject({
      internal: true,
      subnets: ["VpcPrivateSubnet1-id", "VpcPrivateSubnet2-id"],
      dropInvalidHeaderFields: true,
    });
    expect(one(made(), "cloudfront/vpcOrigin").inputs.vpcOriginEndpointConfig).toMatchObject({
      originProtocolPolicy: "http-only",
      httpPort: 80,
    });
  });

  it("caches nothing but files whose names have a hash, and passes every header on", () => {
    const { defaultCacheBehavior, orderedCacheBehaviors, origins } = one(
      made(),
      "cloudfront/distribution",
    ).inputs;
    expect(defaultCacheBehavior).toMatchObject({
      cachePolicyId: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
      originRequestPolicyId: "216adef6-5c7f-47e4-b989-5492eafa07d3",
      viewerProtocolPolicy: "redirect-to-https",
      compress: false,
      allowedMethods: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
    });
    expect(orderedCacheBehaviors.map((it: { pathPattern: string }) => it.pathPattern)).toEqual(["/assets/*"]);
    expect(origins).toMatchObject([
      { vpcOriginConfig: { originReadTimeout: 60, originKeepaliveTimeout: 60 } },
    ]);
  });

  it("is known by its domain, when it has one", () => {
    const { aliases } = one(made(), "cloudfront/distribution").inputs;
    const hasDomain = configOf(name).domain !== undefined;
    expect(aliases ?? []).toEqual(hasDomain ? ["state.example.com"] : []);
    expect(made().outputs.url).toBe(hasDomain ? "https://state.example.com" : "https://d111.cloudfront.net");
  });
});

describeCases(withEdge("alb"), (made, name) => {
  it("redirects to TLS and speaks only a modern one", () => {
    expect(one(made(), "lb/loadBalancer").inputs.internal).toBe(false);
    const listeners = all(made(), "lb/listener").map(({ inputs }) => ({
      port: inputs.port,
      does: inputs.defaultActions[0].type,
      policy: inputs.sslPolicy,
    }));
    expect(listeners.sort((a, b) => a.port - b.port)).toEqual([
      { port: 80, does: "redirect", policy: undefined },
      { port: 443, does: "forward", policy: "ELBSecurityPolicy-TLS13-1-2-2021-06" },
    ]);
  });

  it("makes records and a certificate only where it may", () => {
    const foreign = name.includes("foreign");
    expect(all(made(), "route53/record").length > 0).toBe(!foreign);
    expect(all(made(), "acm/certificate").length > 0).toBe(!foreign);
    // Whoever makes the record by hand is told where it should point.
    expect(made().outputs.cname).toBe(foreign ? "internal-statehouseloadbalancer.example" : undefined);
  });
});

describeCases(withEdge("api"), (made) => {
  it("has no balancer, and finds the tasks by Cloud Map", () => {
    expect(all(made(), "lb/loadBalancer")).toEqual([]);
    expect(one(made(), "ecs/service").inputs.serviceRegistries).toMatchObject({ port: 4000 });
    expect(one(made(), "apigatewayv2/route").inputs.routeKey).toBe("$default");
  });
});

describeCases(CASE_NAMES, (made) => {
  it("lets requests end for longer than the server itself does", () => {
    for (const { inputs } of all(made(), "lb/targetGroup"))
      expect(inputs.deregistrationDelay).toBeGreaterThan(SERVER_STOP_SECONDS);
  });

  it("closes idle connections before the server does", () => {
    for (const { inputs } of all(made(), "lb/loadBalancer")) {
      expect(inputs.idleTimeout).toBeGreaterThanOrEqual(60);
      expect(inputs.idleTimeout).toBeLessThan(75);
    }
  });
});
