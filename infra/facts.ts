/** What the image and the server are. test/infra/contract.test.ts holds this against the server's own code. */

export const PORT = 4000;
/** User and group in the image, and owner of the files on EFS. */
export const USER_ID = 1000;
/** The one folder that the server writes to; the image declares it as a volume of that user's. */
export const DATA_DIR = "/data";
/** Certificates of the RDS authorities, in the image. */
export const RDS_CA_FILE = "/app/certs/rds-global-bundle.pem";
export const LIVENESS_PATH = "/livez";
export const READINESS_PATH = "/readyz";
/** The server is gone this long after SIGTERM at the latest. */
export const SERVER_STOP_SECONDS = 25;
/** Then ECS kills. */
export const STOP_TIMEOUT_SECONDS = 60;
/** Longer than the server keeps an idle connection open and the balancer answers 502 now and then. */
export const SERVER_KEEP_ALIVE_SECONDS = 75;

/** Proxies that add themselves to X-Forwarded-For. CloudFront has the balancer behind it. */
export const PROXY_HOPS = { cdn: 2, alb: 1, api: 1 } as const;

export const HEALTHCHECK_COMMAND = ["CMD", "statehouse", "healthcheck"];
