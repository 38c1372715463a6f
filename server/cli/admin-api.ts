/** The admin API as the commands use it. */
import { z } from "zod";
import { CommandFailure } from "./failure.ts";

const PAGE_SIZE = 100;
/** More than anybody reads in a terminal; past it a list says that it was cut. */
const LIST_ITEMS_MAX = 10_000;
const REQUEST_MS_MAX = 60_000;

const ErrorBody = z.object({ code: z.union([z.string(), z.number()]), message: z.string() });
const Page = z.object({ items: z.array(z.looseObject({})), nextCursor: z.string().nullish() });

/** One thing of a list or an answer, as the server sent it. */
export type Item = Readonly<Record<string, unknown>>;

/** The server refused. `message` is its own sentence. */
export class AdminApiError extends Error {
  override readonly name = "AdminApiError";
  readonly status: number;
  readonly code: string;
  constructor(status: number, body: { code: string | number; message: string }) {
    super(body.message);
    this.status = status;
    this.code = String(body.code);
  }
}

export interface AdminApiOptions {
  /** Where requests go. */
  readonly baseUrl: string;
  /** What people are told: differs from `baseUrl` when a server was started for this command alone. */
  readonly shownUrl: string;
  readonly token: string;
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: Item;
  readonly timeoutMs?: number;
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export class AdminApi {
  readonly shownUrl: string;
  readonly #options: AdminApiOptions;

  constructor(options: AdminApiOptions) {
    this.#options = options;
    this.shownUrl = options.shownUrl;
  }

  /**
   * One request; the path's parts are escaped. An answer without a body is an empty item.
   * @throws AdminApiError when the server refused, CommandFailure when it was no answer of a Statehouse
   */
  async send(method: Method, path: readonly string[], options: RequestOptions = {}): Promise<Item> {
    const url = this.#url(path, options.query ?? {});
    const response = await this.#fetch(url, method, options);
    const text = await response.text();
    const answer = parseJson(text);
    if (response.ok && (text === "" || isItem(answer))) return isItem(answer) ? answer : {};
    throw this.#refusal(response, answer);
  }

  /** All items of a paged list; `truncated` when there are more than a terminal can use. */
  async list(
    path: readonly string[],
    query: RequestOptions["query"] = {},
  ): Promise<{ items: Item[]; truncated: boolean }> {
    const items: Item[] = [];
    let cursor: string | undefined;
    do {
      const answer = await this.send("GET", path, { query: { ...query, limit: String(PAGE_SIZE), cursor } });
      const page = Page.safeParse(answer);
      if (!page.success) throw this.#notStatehouse("an answer that is not a list");
      items.push(...page.data.items);
      cursor = page.data.nextCursor ?? undefined;
    } while (cursor !== undefined && items.length < LIST_ITEMS_MAX);
    return { items, truncated: cursor !== undefined };
  }

  #url(path: readonly string[], query: NonNullable<RequestOptions["query"]>): URL {
    const escaped = path.map(encodeURIComponent).join("/");
    const url = new URL(`${this.#options.baseUrl}/api/admin/v1/${escaped}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }

  async #fetch(
    url: URL,
    method: Method,
    { body, timeoutMs = REQUEST_MS_MAX }: RequestOptions,
  ): Promise<Response> {
    try {
      return await fetch(url, {
        method,
        headers: {
          authorization: `token ${this.#options.token}`,
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "manual", // a token must not follow to where a redirect points
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      throw new CommandFailure(
        `No answer from ${this.shownUrl} (${networkReason(error)}). Is the server running there? ` +
          "Give its address with --url or STATEHOUSE_URL.",
        { cause: error },
      );
    }
  }

  #refusal(response: Response, answer: unknown): Error {
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      return new CommandFailure(
        `${this.shownUrl} sends requests on to ${location}. Give the server's own address with --url.`,
      );
    }
    if (response.status === 401) {
      return new CommandFailure(
        `${this.shownUrl} does not accept this admin token. ` +
          "Check --token, STATEHOUSE_ADMIN_TOKEN, or admin.token in the server's data folder.",
      );
    }
    const body = ErrorBody.safeParse(answer);
    if (body.success && !response.ok) return new AdminApiError(response.status, body.data);
    return this.#notStatehouse(
      `status ${response.status}, ${response.headers.get("content-type") ?? "no type"}`,
    );
  }

  #notStatehouse(what: string): CommandFailure {
    return new CommandFailure(
      `What answers at ${this.shownUrl} does not look like Statehouse (${what}). ` +
        "Give the server's address with --url or STATEHOUSE_URL.",
    );
  }
}

/** The words inside fetch's "fetch failed". */
export function networkReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "it took too long";
  const cause = error.cause;
  if (cause instanceof Error) return "code" in cause ? String(cause.code) : cause.message;
  return error.message;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller tells by the type
  }
}

function isItem(value: unknown): value is Item {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
