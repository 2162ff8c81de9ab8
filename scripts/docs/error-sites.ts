import ts from 'typescript';

/** One code of a `new HearthcamError(…)` or `new WireError(…)`, as far as the source text tells. */
export interface ErrorSite {
  readonly code: string;
  readonly wire: boolean;
  readonly messages: readonly string[];
  /** HTTP status; empty where it is worked out while running. */
  readonly statuses: readonly string[];
  readonly hints: readonly string[];
}

/** What an expression may be, and which sides of `? :` that takes (condition → whether it holds). */
interface Alternative {
  readonly text: string;
  readonly given: ReadonlyMap<string, boolean>;
}

const NOTHING_GIVEN: ReadonlyMap<string, boolean> = new Map();
/** So many texts of one expression are told apart. */
const MAX_ALTERNATIVES = 12;

/** The errors that a source file makes. Parts of texts that depend on the case are written as `‹name›`. */
export function errorSites(path: string, text: string): ErrorSite[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: ErrorSite[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) || ts.isCallExpression(node)) {
      const name = errorMade(node);
      if (name === 'HearthcamError' || name === 'WireError') found.push(...sitesOf(node, name === 'WireError'));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

type Making = ts.NewExpression | ts.CallExpression;

/** The class that a `new`, or a `super(…)` of a class below it, makes. */
function errorMade(node: Making): string | undefined {
  if (ts.isNewExpression(node)) return node.expression.getText();
  if (node.expression.kind !== ts.SyntaxKind.SuperKeyword) return undefined;
  const owner = ts.findAncestor(node, ts.isClassDeclaration);
  return owner?.heritageClauses?.[0]?.types[0]?.expression.getText();
}

function sitesOf(node: Making, wire: boolean): ErrorSite[] {
  const [code, message] = node.arguments ?? [];
  const options = (node.arguments ?? []).flatMap(spreadObjects);
  const option = (name: string): ts.Expression | undefined =>
    options.map((one) => property(one, name)).find((one) => one !== undefined);
  if (code === undefined) return [];
  return alternatives(code, NOTHING_GIVEN)
    .filter((one) => /^[a-z0-9.]+$/.test(one.text))
    .map(({ text, given }) => {
      const textsOf = (part: ts.Expression | undefined): string[] =>
        part === undefined ? [] : alternatives(part, given).map((one) => one.text);
      const status = option('status');
      return {
        code: text,
        wire,
        messages: textsOf(message),
        statuses: status === undefined ? [wire ? '400' : '500'] : textsOf(status).filter((one) => /^\d+$/.test(one)),
        hints: textsOf(option('hint')).filter((one) => one !== 'undefined' && !/^‹[^›]*›$/.test(one)),
      };
    });
}

/** A property's value, also of `...(condition ? {} : { name })`. */
function property(object: ts.ObjectLiteralExpression, name: string): ts.Expression | undefined {
  for (const one of object.properties) {
    if (ts.isSpreadAssignment(one)) {
      const found = spreadObjects(one.expression)
        .map((inner) => property(inner, name))
        .find((value) => value !== undefined);
      if (found !== undefined) return found;
    } else if (one.name?.getText() === name) {
      if (ts.isPropertyAssignment(one)) return one.initializer;
      if (ts.isShorthandPropertyAssignment(one)) return one.name;
    }
  }
  return undefined;
}

function spreadObjects(node: ts.Expression): ts.ObjectLiteralExpression[] {
  if (ts.isParenthesizedExpression(node)) return spreadObjects(node.expression);
  if (ts.isConditionalExpression(node)) return [...spreadObjects(node.whenTrue), ...spreadObjects(node.whenFalse)];
  return ts.isObjectLiteralExpression(node) ? [node] : [];
}

function alternatives(node: ts.Expression, given: ReadonlyMap<string, boolean>): Alternative[] {
  if (ts.isParenthesizedExpression(node)) return alternatives(node.expression, given);
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isNumericLiteral(node)) {
    return [{ text: node.text, given }];
  }
  if (ts.isConditionalExpression(node)) return conditional(node, given);
  if (ts.isTemplateExpression(node)) return template(node, given);
  if (ts.isIdentifier(node)) {
    const values = definitionsOf(node);
    if (values.length > 0) return values.flatMap((value) => alternatives(value, given)).slice(0, MAX_ALTERNATIVES);
  }
  return [{ text: blank(node), given }];
}

function conditional(node: ts.ConditionalExpression, given: ReadonlyMap<string, boolean>): Alternative[] {
  const condition = node.condition.getText();
  const side = given.get(condition);
  const branch = (holds: boolean): Alternative[] =>
    alternatives(holds ? node.whenTrue : node.whenFalse, new Map([...given, [condition, holds]]));
  return side === undefined ? [...branch(true), ...branch(false)] : branch(side);
}

function template(node: ts.TemplateExpression, given: ReadonlyMap<string, boolean>): Alternative[] {
  let so: Alternative[] = [{ text: node.head.text, given }];
  for (const span of node.templateSpans) {
    so = so.flatMap((before) =>
      alternatives(span.expression, before.given).map((one) => ({
        text: before.text + one.text + span.literal.text,
        given: one.given,
      })),
    );
    if (so.length > MAX_ALTERNATIVES) {
      const spans = node.templateSpans.map((one) => blank(one.expression) + one.literal.text);
      return [{ text: node.head.text + spans.join(''), given }];
    }
  }
  return so;
}

/** What a name may stand for: a constant of the blocks around it, or what a function of the file returns. */
function definitionsOf(name: ts.Identifier): readonly ts.Expression[] {
  for (let scope: ts.Node = name.parent; ; scope = scope.parent) {
    if (ts.isBlock(scope) || ts.isSourceFile(scope)) {
      for (const statement of scope.statements) {
        if (!ts.isVariableStatement(statement)) continue;
        if ((statement.declarationList.flags & ts.NodeFlags.Const) === 0) continue;
        for (const { name: bound, initializer } of statement.declarationList.declarations) {
          if (initializer === undefined) continue;
          if (ts.isIdentifier(bound) && bound.text === name.text) return resolved(initializer);
          if (ts.isObjectBindingPattern(bound) && bound.elements.some((one) => one.name.getText() === name.text)) {
            return resolved(initializer)
              .filter((one) => ts.isObjectLiteralExpression(one))
              .map((one) => property(one, name.text))
              .filter((one) => one !== undefined);
          }
        }
      }
    }
    if (ts.isSourceFile(scope)) return [];
  }
}

/** The expression itself, or all that the called function of the same file returns. Others tell nothing. */
function resolved(node: ts.Expression): readonly ts.Expression[] {
  const literal =
    ts.isConditionalExpression(node) ||
    ts.isTemplateExpression(node) ||
    ts.isStringLiteral(node) ||
    ts.isNumericLiteral(node);
  if (literal) return [node];
  if (!ts.isCallExpression(node)) return [];
  const called = node.expression.getText();
  const maker = node
    .getSourceFile()
    .statements.find((one) => ts.isFunctionDeclaration(one) && one.name?.text === called);
  const returned: ts.Expression[] = [];
  const visit = (one: ts.Node): void => {
    if (ts.isReturnStatement(one) && one.expression !== undefined) returned.push(one.expression);
    ts.forEachChild(one, visit);
  };
  if (maker !== undefined) visit(maker);
  return returned;
}

/** What stands for an expression within a text: `‹its last name›`. */
function blank(node: ts.Expression): string {
  if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
    const { expression } = node.expression;
    return expression.getText() === 'Math' || expression.getText() === 'JSON' ? argument(node) : blank(expression);
  }
  if (ts.isElementAccessExpression(node) || ts.isParenthesizedExpression(node)) return blank(node.expression);
  if (ts.isPropertyAccessExpression(node)) return `‹${words(node.name.text)}›`;
  if (ts.isIdentifier(node)) return `‹${words(node.text)}›`;
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) {
    return blank(node.left);
  }
  return '‹…›';
}

function argument(call: ts.CallExpression): string {
  const [first] = call.arguments;
  return first === undefined ? '‹…›' : blank(first);
}

/** `timeoutMs` → `timeout ms`, `#maxBytes` → `max bytes`, `MAX_PARTS` → `max parts`. */
function words(name: string): string {
  const plain = name.replace(/^#/, '');
  return /^[A-Z_0-9]+$/.test(plain)
    ? plain.toLowerCase().replaceAll('_', ' ')
    : plain.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase();
}
