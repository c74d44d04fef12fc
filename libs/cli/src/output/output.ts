/** Where a command writes its output. */
export interface Output {
  write(text: string): void;
}
