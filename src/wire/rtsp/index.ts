export * from './auth.ts';
export * from './message.ts';
export * from './parser.ts';
export * from './transport.ts';
