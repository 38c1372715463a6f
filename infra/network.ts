/** One network per stage: the tasks' group admits only the balancer, the default group admits nobody. */
import { PORT } from "./facts.ts";
import type { Settings } from "./settings.ts";

/** The range that SST gives every network. */
const VPC_RANGE = "10.0.0.0/16";

export interface Network {
  vpc: sst.aws.Vpc;
  cluster: sst.aws.Cluster;
  /** The tasks' group. */
  appGroup: aws.ec2.SecurityGroup;
  /** Subnets of the tasks. */
  taskSubnets: $util.Output<$util.Output<string>[]>;
  /** Without a NAT the tasks reach the world, and their image, by an address of their own. */
  assignPublicIp: boolean;
}

export function makeNetwork(settings: Settings): Network {
  const vpc = new sst.aws.Vpc("Vpc", {
    az: 2,
    ...(settings.nat === "none" ? {} : { nat: settings.nat }),
    bastion: settings.bastion,
    transform: {
      securityGroup: (args) => {
        args.ingress = [];
        args.egress = [];
      },
      // SST lets the whole internet in at every port of a NAT machine.
      natSecurityGroup: (args) => {
        const tunnel = { protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: ["0.0.0.0/0"] };
        args.ingress = [
          { protocol: "-1", fromPort: 0, toPort: 0, cidrBlocks: [VPC_RANGE] },
          ...(settings.bastion ? [tunnel] : []),
        ];
      },
    },
  });
  // No `ingress` here: the rule for the balancer is a resource of its own (`admit`), made after the balancer.
  const appGroup = new aws.ec2.SecurityGroup("AppGroup", {
    vpcId: vpc.id,
    description: "Statehouse tasks",
    egress: [{ protocol: "-1", fromPort: 0, toPort: 0, cidrBlocks: ["0.0.0.0/0"] }],
  });
  const assignPublicIp = settings.nat === "none";
  const taskSubnets = assignPublicIp ? vpc.publicSubnets : vpc.privateSubnets;
  const cluster = new sst.aws.Cluster("Cluster", {
    vpc: {
      id: vpc.id,
      securityGroups: [appGroup.id],
      containerSubnets: taskSubnets,
      loadBalancerSubnets: settings.edge === "cdn" ? vpc.privateSubnets : vpc.publicSubnets,
      cloudmapNamespaceId: vpc.nodes.cloudmapNamespace.id,
      cloudmapNamespaceName: vpc.nodes.cloudmapNamespace.name,
    },
  });
  return { vpc, cluster, appGroup, taskSubnets, assignPublicIp };
}

/** Lets one group in at the server's port. */
export function admit(appGroup: aws.ec2.SecurityGroup, name: string, from: $util.Input<string>): void {
  new aws.vpc.SecurityGroupIngressRule(name, {
    securityGroupId: appGroup.id,
    referencedSecurityGroupId: from,
    ipProtocol: "tcp",
    fromPort: PORT,
    toPort: PORT,
  });
}

/** A group for a store that only the tasks (and the bastion) reach, at one port. It goes when the store may go. */
export function storeGroup(
  settings: Settings,
  network: Network,
  name: string,
  port: number,
): aws.ec2.SecurityGroup {
  const tasks: $util.Input<string>[] = [network.appGroup.id];
  const bastionGroup = network.vpc.nodes.bastionSecurityGroup;
  if (settings.bastion)
    tasks.push($util.output(bastionGroup).apply((group) => $util.output(group?.id ?? "")));
  return new aws.ec2.SecurityGroup(
    name,
    {
      vpcId: network.vpc.id,
      description: `Statehouse: ${name}`,
      ingress: [{ protocol: "tcp", fromPort: port, toPort: port, securityGroups: tasks }],
      egress: [],
    },
    { retainOnDelete: settings.production },
  );
}
