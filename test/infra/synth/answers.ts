/** What AWS would answer: to calls, and in the outputs of new resources. */

type Values = Record<string, unknown>;

export const ACCOUNT = "123456789012";
export const REGION = "us-east-1";
export const ACCESS_POINT_PREFIX = "arn:aws:elasticfilesystem";

/** @throws Error for a call that nobody thought of */
export function answer(token: string, inputs: Values): Values {
  const known: Record<string, () => Values> = {
    "aws:index/getRegion:getRegion": () => ({ region: REGION, name: REGION, id: REGION }),
    "aws:index/getCallerIdentity:getCallerIdentity": () => ({
      accountId: ACCOUNT,
      arn: `arn:aws:iam::${ACCOUNT}:root`,
      id: ACCOUNT,
    }),
    "aws:index/getPartition:getPartition": () => ({
      partition: "aws",
      dnsSuffix: "amazonaws.com",
      id: "aws",
    }),
    "aws:index/getAvailabilityZones:getAvailabilityZones": () => ({
      names: ["us-east-1a", "us-east-1b", "us-east-1c"],
      zoneIds: ["use1-az1", "use1-az2", "use1-az3"],
      id: REGION,
    }),
    "aws:ec2/getAmi:getAmi": () => ({ id: "ami-1234", architecture: "arm64" }),
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": () => ({ id: "pl-cloudfront", name: inputs.name }),
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": () => ({
      proxyEndpoint: `https://${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com`,
      userName: "AWS",
      password: "registry-password",
    }),
    "aws:route53/getZone:getZone": () => ({ zoneId: "Z123", id: "Z123", name: inputs.name }),
    "aws:route53/getZones:getZones": () => ({ ids: ["Z123"] }),
    "cloudflare:index/getZone:getZone": () => ({ id: "cf-zone", zoneId: "cf-zone", name: inputs.name }),
    "aws:ssm/getParametersByPath:getParametersByPath": () => ({ names: [], values: [], arns: [], types: [] }),
    "aws:iam/getPolicyDocument:getPolicyDocument": () => policyDocument(inputs),
  };
  const found = known[token];
  if (found === undefined)
    throw new Error(`the synthesis has no answer to ${token} ${JSON.stringify(inputs)}`);
  return found();
}

interface Statement {
  readonly sid?: string;
  readonly effect?: string;
  readonly actions?: string[];
  readonly resources?: string[];
  readonly principals?: { type: string; identifiers: string[] }[];
  readonly conditions?: { test: string; variable: string; values: string[] }[];
}

/** As the provider renders it: single values out of their lists, principals and conditions folded. */
function policyDocument(inputs: Values): Values {
  const statements = (inputs.statements ?? []) as Statement[];
  const document = {
    Version: "2012-10-17",
    Statement: statements.map((it) => ({
      ...(it.sid ? { Sid: it.sid } : {}),
      Effect: it.effect ?? "Allow",
      ...(it.principals ? { Principal: folded(it.principals.map((p) => [p.type, p.identifiers])) } : {}),
      Action: single(it.actions ?? []),
      ...(it.resources ? { Resource: single(it.resources) } : {}),
      ...(it.conditions ? { Condition: conditions(it.conditions) } : {}),
    })),
  };
  return { json: JSON.stringify(document), minifiedJson: JSON.stringify(document), id: "policy", statements };
}

function single(values: readonly string[]): string | readonly string[] {
  return values.length === 1 ? (values[0] ?? "") : values;
}

function folded(pairs: [string, string[]][]): unknown {
  if (pairs.some(([type]) => type === "*")) return "*";
  return Object.fromEntries(pairs.map(([type, identifiers]) => [type, single(identifiers)]));
}

function conditions(list: NonNullable<Statement["conditions"]>): Values {
  const all: Record<string, Values> = {};
  for (const { test, variable, values } of list) all[test] = { ...all[test], [variable]: single(values) };
  return all;
}

/** What the provider computes, by type; everything else is inputs, an id, an ARN and a name. */
export function computed(type: string, name: string, inputs: Values): Values {
  const host = `${name.toLowerCase()}.example`;
  const byType: Record<string, Values> = {
    "aws:lb/loadBalancer:LoadBalancer": {
      dnsName: `internal-${host}`,
      zoneId: "ZLB",
      arnSuffix: `app/${name}/1`,
    },
    "aws:lb/targetGroup:TargetGroup": { arnSuffix: `targetgroup/${name}/1` },
    "aws:acm/certificate:Certificate": {
      domainValidationOptions: [
        {
          domainName: inputs.domainName,
          resourceRecordName: `_x.${String(inputs.domainName)}`,
          resourceRecordType: "CNAME",
          resourceRecordValue: "_y.acm.example",
        },
      ],
    },
    "aws:acm/certificateValidation:CertificateValidation": { certificateArn: inputs.certificateArn },
    "aws:rds/cluster:Cluster": {
      endpoint: "writer.cluster.example",
      readerEndpoint: "reader.cluster.example",
      port: 5432,
      tagsAll: {},
    },
    "aws:rds/clusterInstance:ClusterInstance": { endpoint: host, port: 5432 },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
      primaryEndpointAddress: "cache.example",
      clusterEnabled: false,
      port: 6379,
    },
    "aws:s3/bucket:Bucket": {
      bucket: `${name.toLowerCase()}-bucket`,
      arn: `arn:aws:s3:::${name.toLowerCase()}-bucket`,
      bucketDomainName: `${name.toLowerCase()}-bucket.s3.amazonaws.com`,
    },
    "aws:cloudfront/distribution:Distribution": { domainName: "d111.cloudfront.net", hostedZoneId: "ZCF" },
    "aws:apigatewayv2/api:Api": { apiEndpoint: "https://api1.execute-api.us-east-1.amazonaws.com" },
    // With what a URL would not take, to see that it is encoded.
    "random:index/randomPassword:RandomPassword": { result: `Generated-${name}-0123456789` },
    "random:index/randomId:RandomId": { hex: "abcd", dec: "1", b64Url: "ab" },
    "docker-build:index:Image": { digest: "sha256:feed", ref: "image", contextHash: "1" },
    "aws:ec2/vpc:Vpc": { cidrBlock: "10.0.0.0/16", defaultSecurityGroupId: "sg-default" },
    "aws:ec2/subnet:Subnet": { availabilityZone: "us-east-1a" },
    "aws:ec2/instance:Instance": { primaryNetworkInterfaceId: "eni-1", publicIp: "192.0.2.1" },
    "aws:ec2/eip:Eip": { publicIp: "192.0.2.2" },
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": { hostedZone: "ZSD" },
    "aws:ecs/taskDefinition:TaskDefinition": { family: inputs.family, revision: 1 },
    "aws:iam/role:Role": { uniqueId: "AROA", name },
    "tls:index/privateKey:PrivateKey": { privateKeyOpenssh: "key", publicKeyOpenssh: "ssh-ed25519 key" },
    "pulumi-nodejs:dynamic:Resource": { zoneId: "Z123", isDone: true },
  };
  return byType[type] ?? {};
}
