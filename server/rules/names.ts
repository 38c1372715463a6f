/** What names may look like (protocol reference 6.5). Matching is case-sensitive. */

/** A user's login is an owner name to the CLI, so it obeys the organization's rule. */
const OWNER = /^[a-zA-Z0-9][a-zA-Z0-9-_]{1,38}[a-zA-Z0-9]$/;
const PROJECT_OR_STACK = /^[A-Za-z0-9-_.]{1,100}$/;
const TAG_NAME = /^[a-zA-Z0-9-_.:]{1,40}$/;
const UPDATE_ID = /^[A-Za-z0-9-]{1,64}$/;
export const TAG_VALUE_LENGTH_MAX = 256;
/** More than any real stack has; keeps one row's size in hand. */
export const TAGS_MAX = 200;

export function isOwnerName(name: string): boolean {
  return OWNER.test(name);
}

/** `.` and `..` would be eaten by every URL normaliser on the way here. */
export function isProjectName(name: string): boolean {
  return PROJECT_OR_STACK.test(name) && name !== "." && name !== "..";
}

export const isStackName: (name: string) => boolean = isProjectName;

export function isUpdateId(id: string): boolean {
  return UPDATE_ID.test(id);
}

/** A sentence about the first tag that is not allowed; null when all are. */
export function findTagProblem(tags: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(tags);
  if (entries.length > TAGS_MAX) return `a stack has at most ${TAGS_MAX} tags`;
  for (const [name, value] of entries) {
    if (!TAG_NAME.test(name)) return "a tag's name is 1 to 40 of letters, digits, - _ . and :";
    if (value.length > TAG_VALUE_LENGTH_MAX) {
      return `the value of tag ${name} is longer than ${TAG_VALUE_LENGTH_MAX} characters`;
    }
  }
  return null;
}
