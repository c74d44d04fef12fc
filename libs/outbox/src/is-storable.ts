/** Whether PostgreSQL can store the text: no NUL, and no half of a surrogate pair, which UTF-8 cannot encode. */
export function isStorable(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)
  );
}
