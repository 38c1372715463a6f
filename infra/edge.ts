/** The door: CloudFront before an internal balancer, a public balancer, or API Gateway. */
import { PORT } from "./facts.ts";
import { admit, type Network } from "./network.ts";
import type { Domain, Settings } from "./settings.ts";

type Ingress = aws.types.input.ec2.SecurityGroupIngress;
type Rule = { listen: "80/http" | "443/https"; forward?: "4000/http"; redirect?: "443/https" };

export interface Door {
  /** Null with API Gateway, which finds the tasks by Cloud Map. */
  loadBalancer: { public: boolean; rules: Rule[]; domain?: DomainArgs } | null;
  /** Who reaches the balancer, and where. */
  ingress: Ingress[];
  publicUrl: $util.Output<string>;
  /** Makes what needs the balancer or the service; returns what a record for the domain points at. */
  connect(service: sst.aws.Service): $util.Output<string>;
}

interface DomainArgs {
  name: string;
  cert?: string;
  dns?: false | ReturnType<typeof sst.aws.dns>;
}

/** Managed policies of CloudFront: nothing cached, every header passed on; and for files whose name has a hash. */
const CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad";
const CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6";
const ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3";
const ORIGIN_READ_SECONDS = 60;
const ORIGIN_KEEP_ALIVE_SECONDS = 60;

export function makeDoor(settings: Settings, network: Network): Door {
  if (settings.edge === "api") return apiDoor(settings, network);
  return settings.edge === "alb" ? albDoor(settings, network) : cdnDoor(settings, network);
}

function albDoor(settings: Settings, network: Network): Door {
  const { domain } = settings;
  const later = laterUrl();
  const rules: Rule[] =
    domain === null
      ? [{ listen: "80/http", forward: "4000/http" }]
      : [
          { listen: "80/http", redirect: "443/https" },
          { listen: "443/https", forward: "4000/http" },
        ];
  return {
    loadBalancer: { public: true, rules, ...(domain === null ? {} : { domain: domainArgs(domain) }) },
    ingress: rules.map(({ listen }) => fromEverywhere(Number.parseInt(listen, 10))),
    publicUrl: domain === null ? later.url : $util.output(`https://${domain.name}`),
    connect(service) {
      const { dnsName } = service.nodes.loadBalancer;
      admitBalancer(network, service);
      later.set($interpolate`http://${dnsName}`);
      return dnsName;
    },
  };
}

function cdnDoor(settings: Settings, network: Network): Door {
  const { domain } = settings;
  const later = laterUrl();
  const cloudFront = aws.ec2.getManagedPrefixListOutput({
    name: "com.amazonaws.global.cloudfront.origin-facing",
  });
  return {
    loadBalancer: { public: false, rules: [{ listen: "80/http", forward: "4000/http" }] },
    // The list counts for more than fifty rules of the sixty that a group may have: it fits once.
    ingress: [{ protocol: "tcp", fromPort: 80, toPort: 80, prefixListIds: [cloudFront.id] }],
    publicUrl: domain === null ? later.url : $util.output(`https://${domain.name}`),
    connect(service) {
      admitBalancer(network, service);
      const cdn = makeCdn(settings, service.nodes.loadBalancer);
      later.set(cdn.url);
      return cdn.nodes.distribution.domainName;
    },
  };
}

function makeCdn(settings: Settings, balancer: aws.lb.LoadBalancer): sst.aws.Cdn {
  const origin = new aws.cloudfront.VpcOrigin("Origin", {
    vpcOriginEndpointConfig: {
      name: `${$app.name}-${settings.stage}`,
      arn: balancer.arn,
      httpPort: 80,
      httpsPort: 443,
      originProtocolPolicy: "http-only",
      originSslProtocols: { items: ["TLSv1.2"], quantity: 1 },
    },
  });
  const everything = {
    targetOriginId: "balancer",
    viewerProtocolPolicy: "redirect-to-https",
    allowedMethods: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
    cachedMethods: ["GET", "HEAD"],
    cachePolicyId: CACHING_DISABLED,
    originRequestPolicyId: ALL_VIEWER,
    compress: false,
  };
  const { originRequestPolicyId: _, ...assets } = everything;
  return new sst.aws.Cdn("Cdn", {
    comment: `Statehouse ${settings.stage}`,
    origins: [
      {
        originId: "balancer",
        domainName: balancer.dnsName,
        vpcOriginConfig: {
          vpcOriginId: origin.id,
          originReadTimeout: ORIGIN_READ_SECONDS,
          originKeepaliveTimeout: ORIGIN_KEEP_ALIVE_SECONDS,
        },
      },
    ],
    defaultCacheBehavior: everything,
    orderedCacheBehaviors: [
      { ...assets, pathPattern: "/assets/*", cachePolicyId: CACHING_OPTIMIZED, compress: true },
    ],
    ...(settings.domain === null ? {} : { domain: domainArgs(settings.domain) }),
    wait: settings.production,
  });
}

function apiDoor(settings: Settings, network: Network): Door {
  const linkGroup = new aws.ec2.SecurityGroup("ApiLinkGroup", {
    vpcId: network.vpc.id,
    description: "API Gateway to the tasks",
    ingress: [],
    egress: [{ protocol: "tcp", fromPort: PORT, toPort: PORT, securityGroups: [network.appGroup.id] }],
  });
  admit(network.appGroup, "AppFromApi", linkGroup.id);
  const api = new sst.aws.ApiGatewayV2("Api", {
    cors: false,
    vpc: { subnets: network.taskSubnets, securityGroups: [linkGroup.id] },
    accessLog: { retention: settings.logRetention },
    ...(settings.domain === null ? {} : { domain: domainArgs(settings.domain) }),
  });
  return {
    loadBalancer: null,
    ingress: [],
    publicUrl: settings.domain === null ? api.url : $util.output(`https://${settings.domain.name}`),
    connect(service) {
      api.routePrivate("$default", service.nodes.cloudmapService.arn);
      if (settings.domain === null) return api.url.apply((url) => new URL(url).hostname);
      return api.nodes.domainName.domainNameConfiguration.targetDomainName;
    },
  };
}

/** Without `dns: false` SST looks for a Route 53 zone even when there is a certificate. */
function domainArgs({ name, dns, zone, cert }: Domain): DomainArgs {
  const certificate = cert === null ? {} : { cert };
  if (dns === "none") return { name, ...certificate, dns: false };
  const inZone = zone === null ? {} : { zone };
  // Both makers give the same kind of thing; SST's types name them apart.
  const records = dns === "cloudflare" ? sst.cloudflare.dns(inZone) : sst.aws.dns(inZone);
  return { name, ...certificate, dns: records as ReturnType<typeof sst.aws.dns> };
}

/** Behind the public name, and nobody else. */
function admitBalancer(network: Network, service: sst.aws.Service): void {
  const groups = service.nodes.loadBalancer.securityGroups;
  const group = groups.apply((ids) => ids[0] ?? "");
  admit(network.appGroup, "AppFromBalancer", group);
}

function fromEverywhere(port: number): Ingress {
  return { protocol: "tcp", fromPort: port, toPort: port, cidrBlocks: ["0.0.0.0/0"] };
}

/** The tasks want to know an address that follows from the balancer, which comes with the tasks. */
function laterUrl(): { url: $util.Output<string>; set: (url: $util.Output<string>) => void } {
  let set: (url: $util.Output<string>) => void = () => {};
  const url = $util.output(
    new Promise<$util.Output<string>>((resolve) => {
      // In a box: an Output would be waited for as if it were a promise.
      set = (value) => resolve(value);
    }),
  );
  return { url, set: (value) => set(value) };
}
