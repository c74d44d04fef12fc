/** Where the command writes what it prints. */
export interface Output {
  write(text: string): void;
}
