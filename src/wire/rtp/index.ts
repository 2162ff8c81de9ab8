export * from './header.ts';
export * from './media-receiver.ts';
export * from './receiver.ts';
export * from './reorder.ts';
export * from './rtcp.ts';
export * from './unwrap.ts';
