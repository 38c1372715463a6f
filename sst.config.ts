/// <reference path="./.sst/platform/config.d.ts" />

// Nothing to edit here: statehouse.config.ts is the file with the choices. SST allows no imports at the top.
export default $config({
  async app({ stage }) {
    const { resolve } = await import("./infra/settings.ts");
    const settings = resolve((await import("./statehouse.config.ts")).default, stage);
    return {
      name: "statehouse",
      home: "aws",
      removal: settings.production ? "retain" : "remove",
      protect: settings.production,
      providers: {
        aws: { version: "7.20.0", region: settings.region as "us-east-1" },
        random: "4.16.6",
        ...(settings.domain?.dns === "cloudflare" ? { cloudflare: "6.15.0" } : {}),
      },
    };
  },
  async run() {
    const { resolve } = await import("./infra/settings.ts");
    const { statehouse } = await import("./infra/index.ts");
    return statehouse(resolve((await import("./statehouse.config.ts")).default, $app.stage));
  },
});
