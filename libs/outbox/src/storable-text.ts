/** Whether PostgreSQL can store the text: it holds no NUL, and UTF-8 has no half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)
  );
}
