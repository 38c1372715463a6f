/** The little that the tests need of a package that comes without types. */
declare module "js-yaml" {
  /** @throws YAMLException */
  export function load(text: string): unknown;
}
