/** Whether a peer's address is this machine's own (`''`: a unix socket). */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address) || address === '';
}
