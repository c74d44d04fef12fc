import type ts from 'typescript';
import type { Compiler } from './typescript.js';

/**
 * The result for a source file: its new text, or why it is not changed. An unchanged text means that nothing was
 * missing.
 */
export type Edited = { readonly text: string } | { readonly refused: string };

/** Text to insert at a position. */
interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Adds a module to the `imports` of a source file's only `@Module()`. */
export function addModule(compiler: Compiler, text: string, name: string, from: string): Edited {
  const source = parse(compiler, text);
  if (mentions(compiler, source, name)) return { text };
  const modules = decoratorArguments(compiler, source, 'Module');
  const [metadata, ...others] = modules;
  if (metadata === undefined) return { refused: 'it has no class with @Module({ … })' };
  if (others.length > 0) return { refused: 'it has several classes with @Module({ … })' };
  const imports = metadata.properties.find((property) => nameOf(compiler, property) === 'imports');
  const added =
    imports === undefined
      ? asFirstProperty(source, metadata, `imports: [${name}]`)
      : compiler.isPropertyAssignment(imports) && compiler.isArrayLiteralExpression(imports.initializer)
        ? asLastElement(source, imports.initializer, name)
        : undefined;
  if (added === undefined) return { refused: 'its imports are not a plain array' };
  return { text: insert(text, [importOf(compiler, source, name, from), added]) };
}

/**
 * Makes the application of a `main.ts` also consume: before it listens, or with the microservices that it already
 * starts.
 */
export function startConsuming(compiler: Compiler, text: string): Edited {
  const source = parse(compiler, text);
  if (mentions(compiler, source, 'WaybillServer')) return { text };
  if (mentions(compiler, source, 'createMicroservice'))
    return { refused: 'it is a microservice without HTTP' };
  const [name, ...others] = applicationNames(compiler, source);
  if (name === undefined || others.length > 0)
    return { refused: 'it does not have exactly one `await NestFactory.create(…)`' };
  const isHybrid = mentions(compiler, source, 'startAllMicroservices');
  const before = isHybrid ? 'startAllMicroservices' : 'listen';
  const [call, ...more] = callsOf(compiler, source, name, before);
  if (call === undefined || more.length > 0)
    return { refused: `it does not have exactly one \`await ${name}.${before}(…)\`` };
  const at = call.getStart(source);
  const indent = indentAt(text, at);
  if (text.slice(lineStart(text, at), at).trim() !== '')
    return { refused: `${name}.${before} is not on a separate line` };
  const end = lineEnd(text);
  const lines = [
    `${name}.connectMicroservice({ strategy: ${name}.get(WaybillServer) }, { inheritAppConfig: true });`,
    ...(mentions(compiler, source, 'enableShutdownHooks') ? [] : [`${name}.enableShutdownHooks();`]),
    ...(callsOf(compiler, source, name, 'init').length > 0 ? [] : [`await ${name}.init();`]),
    ...(isHybrid ? [] : [`await ${name}.startAllMicroservices();`]),
  ];
  return {
    text: insert(text, [
      importOf(compiler, source, 'WaybillServer', '@waybill/nestjs'),
      { at, text: lines.map((line) => `${line}${end}${indent}`).join('') },
    ]),
  };
}

/** Whether the relative imports of a source file end in `.js`; undefined if it has none. */
export function importsWithSuffix(compiler: Compiler, text: string): boolean | undefined {
  const relative = parse(compiler, text)
    .statements.filter((statement) => compiler.isImportDeclaration(statement))
    .map(({ moduleSpecifier }) => (moduleSpecifier as ts.StringLiteral).text)
    .filter((specifier) => specifier.startsWith('.'));
  return relative.length === 0 ? undefined : relative.some((specifier) => specifier.endsWith('.js'));
}

function parse(compiler: Compiler, text: string): ts.SourceFile {
  return compiler.createSourceFile('source.ts', text, compiler.ScriptTarget.Latest, true);
}

function each(compiler: Compiler, node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  compiler.forEachChild(node, (child) => each(compiler, child, visit));
}

function mentions(compiler: Compiler, source: ts.SourceFile, name: string): boolean {
  let found = false;
  each(compiler, source, (node) => {
    if (compiler.isIdentifier(node) && node.text === name) found = true;
  });
  return found;
}

function nameOf(compiler: Compiler, property: ts.ObjectLiteralElementLike): string | undefined {
  const { name } = property;
  return name !== undefined && (compiler.isIdentifier(name) || compiler.isStringLiteral(name))
    ? name.text
    : undefined;
}

function decoratorArguments(
  compiler: Compiler,
  source: ts.SourceFile,
  decorator: string,
): ts.ObjectLiteralExpression[] {
  const found: ts.ObjectLiteralExpression[] = [];
  each(compiler, source, (node) => {
    if (!compiler.isDecorator(node) || !compiler.isCallExpression(node.expression)) return;
    const { expression, arguments: given } = node.expression;
    const [first] = given;
    if (!compiler.isIdentifier(expression) || expression.text !== decorator) return;
    if (first !== undefined && compiler.isObjectLiteralExpression(first)) found.push(first);
  });
  return found;
}

/** Names of variables that hold the result of `await NestFactory.create(…)`. */
function applicationNames(compiler: Compiler, source: ts.SourceFile): string[] {
  const names: string[] = [];
  each(compiler, source, (node) => {
    if (!compiler.isVariableDeclaration(node) || !compiler.isIdentifier(node.name)) return;
    const { initializer } = node;
    if (initializer === undefined || !compiler.isAwaitExpression(initializer)) return;
    const call = initializer.expression;
    if (compiler.isCallExpression(call) && call.expression.getText(source) === 'NestFactory.create')
      names.push(node.name.text);
  });
  return names;
}

/** Statements `await <name>.<method>(…)`. */
function callsOf(
  compiler: Compiler,
  source: ts.SourceFile,
  name: string,
  method: string,
): ts.ExpressionStatement[] {
  const found: ts.ExpressionStatement[] = [];
  each(compiler, source, (node) => {
    if (!compiler.isExpressionStatement(node) || !compiler.isAwaitExpression(node.expression)) return;
    const call = node.expression.expression;
    if (compiler.isCallExpression(call) && call.expression.getText(source) === `${name}.${method}`)
      found.push(node);
  });
  return found;
}

function importOf(compiler: Compiler, source: ts.SourceFile, name: string, from: string): Insertion {
  const { text } = source;
  const last = source.statements.findLast((statement) => compiler.isImportDeclaration(statement));
  const quote = last?.moduleSpecifier.getText(source).at(0) ?? "'";
  const line = `import { ${name} } from ${quote}${from}${quote};`;
  return last === undefined
    ? { at: 0, text: `${line}${lineEnd(text)}` }
    : { at: last.getEnd(), text: `${lineEnd(text)}${line}` };
}

function asFirstProperty(
  source: ts.SourceFile,
  object: ts.ObjectLiteralExpression,
  property: string,
): Insertion {
  const { text } = source;
  const at = object.getStart(source) + 1;
  const [first] = object.properties;
  if (first === undefined) return { at, text: ` ${property} ` };
  const start = first.getStart(source);
  const own = text.slice(at, start).includes('\n');
  return { at: start, text: own ? `${property},${lineEnd(text)}${indentAt(text, start)}` : `${property}, ` };
}

function asLastElement(source: ts.SourceFile, list: ts.ArrayLiteralExpression, name: string): Insertion {
  const { text } = source;
  const last = list.elements.at(-1);
  if (last === undefined) return { at: list.getStart(source) + 1, text: name };
  const start = last.getStart(source);
  const own = text.slice(lineStart(text, start), start).trim() === '';
  return { at: last.getEnd(), text: own ? `,${lineEnd(text)}${indentAt(text, start)}${name}` : `, ${name}` };
}

function insert(text: string, insertions: readonly Insertion[]): string {
  return insertions
    .toSorted((a, b) => b.at - a.at)
    .reduce((before, { at, text: added }) => before.slice(0, at) + added + before.slice(at), text);
}

function lineEnd(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf('\n', at - 1) + 1;
}

function indentAt(text: string, at: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, at)))?.[0] ?? '';
}
