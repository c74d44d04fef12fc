/** Where a command writes its output. */
export interface Output {
  write(text: string): void;
  /** Empties the screen before a page is shown again. Absent: pages follow each other. */
  clear?(): void;
}
