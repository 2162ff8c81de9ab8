export * from './build.ts';
export * from './control.ts';
export * from './media.ts';
export * from './parse.ts';
