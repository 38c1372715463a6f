/** Stacks, their state and their secrets. Protocol reference 2.2, 5 and 6. */
import type { Request, Response } from "express";
import { memberOf } from "../deployment/json-members.ts";
import { AppError } from "../errors.ts";
import { stackNameOf } from "../http/access.ts";
import { readBody, streamBody } from "../http/body.ts";
import { sendDocument } from "../http/document.ts";
import { check, parseJson, readJson, sendEmpty, sendJson } from "../http/json.ts";
import { organizationRoute, type Route } from "../http/route.ts";
import { audit } from "../services/audit.ts";
import { decryptValues, encryptValues } from "../services/secrets.ts";
import { createStack, deleteStack, renameStack, replaceTags } from "../services/stacks.ts";
import { exportState, getStack, importState } from "../services/state.ts";
import {
  BatchDecrypt,
  BatchEncrypt,
  CreateStack,
  Decrypt,
  Encrypt,
  LogDecryption,
  Rename,
  Tags,
} from "./schemas.ts";
import { stackOnWire } from "./wire.ts";

const PROJECT = "/api/stacks/:org/:project";
/** The state that a stack starts with names a secrets provider and holds no resources; it is read whole. */
const CREATE_BYTES_MAX = 16 * 1024 ** 2;
const STACK = `${PROJECT}/:stack`;

function param(req: Request, name: string): string {
  const value = req.params[name];
  return typeof value === "string" ? value : "";
}

function isNull(raw: Uint8Array): boolean {
  return raw.byteLength === 4 && Buffer.from(raw).toString("latin1") === "null";
}

/** The CLI prints each as a warning; header values are one line of Latin-1. */
export function warn(res: Response, sentence: string | null): void {
  if (sentence === null) return;
  res.setHeader("X-Pulumi-Warning", sentence.replace(/[^\x20-\x7e]/g, "?").slice(0, 1000));
}

export const stackRoutes: readonly Route[] = [
  organizationRoute("get", STACK, "stack:read", async (ctx, access, req, res) => {
    sendJson(res, 200, stackOnWire(await getStack(ctx, access, stackNameOf(req))));
  }),

  organizationRoute("get", `${STACK}/export`, "stack:read", async (ctx, access, req, res) => {
    await sendDocument(req, res, await exportState(ctx, access, stackNameOf(req), "latest"));
  }),

  organizationRoute("get", `${STACK}/export/:version`, "stack:read", async (ctx, access, req, res) => {
    const version = Number(param(req, "version"));
    if (!Number.isSafeInteger(version) || version < 0) {
      throw new AppError("INVALID_REQUEST", {}, { detail: "the version is a number" });
    }
    await sendDocument(req, res, await exportState(ctx, access, stackNameOf(req), version));
  }),

  organizationRoute("post", `${STACK}/batch-encrypt`, "stack:preview", async (ctx, access, req, res) => {
    const limits = { ...ctx.config, jsonBytesMax: ctx.config.secretBatchBytesMax };
    const { plaintexts } = await readJson(req, BatchEncrypt, limits);
    sendJson(res, 200, { ciphertexts: await encryptValues(ctx, access, stackNameOf(req), plaintexts ?? []) });
  }),

  organizationRoute("post", `${STACK}/batch-decrypt`, "stack:decrypt", async (ctx, access, req, res) => {
    const limits = { ...ctx.config, jsonBytesMax: ctx.config.secretBatchBytesMax };
    const { ciphertexts } = await readJson(req, BatchDecrypt, limits);
    const plaintexts = await decryptValues(ctx, access, stackNameOf(req), ciphertexts ?? []);
    sendJson(res, 200, { plaintexts: Object.fromEntries(plaintexts) });
  }),

  organizationRoute("post", `${STACK}/encrypt`, "stack:preview", async (ctx, access, req, res) => {
    const limits = { ...ctx.config, jsonBytesMax: ctx.config.secretBatchBytesMax };
    const { plaintext } = await readJson(req, Encrypt, limits);
    const [ciphertext] = await encryptValues(ctx, access, stackNameOf(req), [plaintext ?? ""]);
    sendJson(res, 200, { ciphertext });
  }),

  organizationRoute("post", `${STACK}/decrypt`, "stack:decrypt", async (ctx, access, req, res) => {
    const limits = { ...ctx.config, jsonBytesMax: ctx.config.secretBatchBytesMax };
    const { ciphertext } = await readJson(req, Decrypt, limits);
    const plaintexts = await decryptValues(ctx, access, stackNameOf(req), [ciphertext ?? ""]);
    sendJson(res, 200, { plaintext: plaintexts.get(ciphertext ?? "") });
  }),

  organizationRoute(
    "post",
    `${STACK}/decrypt/log-decryption`,
    "stack:read",
    async (ctx, access, req, res) => {
      const { secretName } = await readJson(req, LogDecryption, ctx.config);
      const { project, stack } = await getStack(ctx, access, stackNameOf(req));
      const target = `${project}/${stack}${secretName ? ` ${secretName}` : ""}`;
      await audit(ctx, access.principal, "secret.decrypt", access.organization, target);
      sendEmpty(res);
    },
  ),

  organizationRoute(
    "post",
    `${STACK}/decrypt/log-batch-decryption`,
    "stack:read",
    async (ctx, access, req, res) => {
      const { commandName } = await readJson(req, LogDecryption, ctx.config);
      const { project, stack } = await getStack(ctx, access, stackNameOf(req));
      const target = `${project}/${stack}${commandName ? ` ${commandName}` : ""}`;
      await audit(ctx, access.principal, "secret.decrypt-batch", access.organization, target);
      sendEmpty(res);
    },
  ),

  organizationRoute("post", PROJECT, "stack:write", async (ctx, access, req, res) => {
    const body = await readBody(req, CREATE_BYTES_MAX);
    const input = check(CreateStack, parseJson(body, ctx.config.jsonDepthMax) ?? {});
    if (input.config !== undefined && input.config !== null) {
      const detail = "configuration kept in an environment is not supported; leave `config` out";
      throw new AppError("INVALID_REQUEST", {}, { detail });
    }
    const state = memberOf(body, "state");
    await createStack(ctx, access, {
      name: { organization: access.organization, project: param(req, "project"), stack: input.stackName },
      tags: input.tags ?? {},
      state: state === null || isNull(state) ? null : state,
    });
    sendJson(res, 200, {});
  }),

  organizationRoute("head", PROJECT, "stack:read", async (ctx, access, req, res) => {
    const exists = await ctx.db.projectExists(access.organization, param(req, "project"));
    res.status(exists ? 200 : 404).end();
  }),
  organizationRoute("get", PROJECT, "stack:read", async (ctx, access, req, res) => {
    const project = param(req, "project");
    if (!(await ctx.db.projectExists(access.organization, project))) throw new AppError("PROJECT_NOT_FOUND");
    sendJson(res, 200, { orgName: access.organization, projectName: project });
  }),

  organizationRoute("delete", STACK, "stack:write", async (ctx, access, req, res) => {
    await deleteStack(ctx, access, stackNameOf(req), req.query.force === "true");
    sendEmpty(res);
  }),

  organizationRoute("patch", `${STACK}/tags`, "stack:write", async (ctx, access, req, res) => {
    const body = await readBody(req, ctx.config.jsonBytesMax);
    const tags = check(Tags, parseJson(body, ctx.config.jsonDepthMax) ?? null);
    await replaceTags(ctx, access, stackNameOf(req), tags ?? {});
    sendEmpty(res);
  }),

  organizationRoute("post", `${STACK}/rename`, "stack:write", async (ctx, access, req, res) => {
    const { newName, newProject } = await readJson(req, Rename, ctx.config);
    const from = stackNameOf(req);
    await renameStack(ctx, access, from, {
      project: newProject || from.project,
      stack: newName || from.stack,
    });
    sendEmpty(res);
  }),

  organizationRoute("post", `${STACK}/import`, "stack:write", async (ctx, access, req, res) => {
    const bytes = streamBody(req, ctx.config.checkpointBytesMax);
    const { updateId, warning } = await importState(ctx, access, stackNameOf(req), bytes);
    warn(res, warning);
    sendJson(res, 200, { updateId });
  }),
];
