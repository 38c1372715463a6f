/** The kinds of value a setting can have: text of the environment in, a checked value out. */
import { z } from "zod";

/** A zod schema from text to a value, with the words that say what it takes. */
export interface Kind<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** Completes "must be …". */
  readonly allowed: string;
  /** The default as a person would type it; null when a setting may stay unset. */
  readonly initial: string | null;
}

export function integer(range: { min: number; max: number; initial: number }) {
  const { schema, allowed } = boundedInteger(range);
  return { schema: schema.default(range.initial), allowed, initial: String(range.initial) };
}

export function optionalInteger(range: { min: number; max: number }) {
  const { schema, allowed } = boundedInteger(range);
  return { schema: schema.nullable().default(null), allowed, initial: null };
}

export function bool(initial: boolean) {
  const allowed = "true or false";
  const schema = z
    .enum(["true", "false", "1", "0"], mustBe(allowed))
    .transform((v) => v === "true" || v === "1");
  return { schema: schema.default(initial), allowed, initial: String(initial) };
}

export function oneOf<const Values extends readonly [string, ...string[]]>(
  values: Values,
  initial: NoInfer<Values[number]>,
) {
  const allowed = `one of ${values.join(", ")}`;
  const schema: z.ZodType<Values[number], string> = z.enum(values, mustBe(allowed));
  return { schema: schema.default(initial), allowed, initial: String(initial) };
}

export function optionalOneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  const allowed = `one of ${values.join(", ")}`;
  const schema: z.ZodType<Values[number], string> = z.enum(values, mustBe(allowed));
  return { schema: schema.nullable().default(null), allowed, initial: null };
}

export function text(rule: { allowed: string; pattern: RegExp; initial: string }) {
  return { schema: matching(rule).default(rule.initial), allowed: rule.allowed, initial: rule.initial };
}

export function optionalText(rule: { allowed: string; pattern: RegExp }) {
  return { schema: matching(rule).nullable().default(null), allowed: rule.allowed, initial: null };
}

/** Comma-separated; blanks around an item don't matter. */
export function textList(rule: { allowed: string; pattern: RegExp; maxItems: number }) {
  const schema = z
    .string()
    .transform((value) => value.split(",").map((item) => item.trim()))
    .pipe(z.array(matching(rule)).max(rule.maxItems, mustBe(rule.allowed)))
    .readonly();
  return { schema: schema.default([]), allowed: rule.allowed, initial: null };
}

/** An http(s) URL; slashes at its end are taken off, so that paths can be appended. */
export function optionalUrl() {
  const allowed = "an http:// or https:// URL without user, query or fragment";
  const schema = z
    .string()
    .refine(isPlainHttpUrl, mustBe(allowed))
    .transform((value) => value.replace(/\/+$/, ""));
  return { schema: schema.nullable().default(null), allowed, initial: null };
}

/** Text that `accepts` likes, such as a cron expression. */
export function checkedText(rule: { allowed: string; accepts: (value: string) => boolean; initial: string }) {
  const schema = z.string().refine(rule.accepts, mustBe(rule.allowed));
  return { schema: schema.default(rule.initial), allowed: rule.allowed, initial: rule.initial };
}

function boundedInteger({ min, max }: { min: number; max: number }) {
  const allowed = `a whole number from ${min} to ${max}`;
  const schema = z
    .string()
    .regex(/^-?[0-9]{1,16}$/, mustBe(allowed))
    .transform(Number)
    .pipe(z.number().min(min, mustBe(allowed)).max(max, mustBe(allowed)));
  return { schema, allowed };
}

function matching(rule: { allowed: string; pattern: RegExp }) {
  return z.string().regex(rule.pattern, mustBe(rule.allowed));
}

function mustBe(allowed: string): { error: string } {
  return { error: `must be ${allowed}` };
}

function isPlainHttpUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || !["http:", "https:"].includes(url.protocol)) return false;
  return url.username === "" && url.password === "" && url.search === "" && url.hash === "";
}
