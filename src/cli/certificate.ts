import { createSecureContext } from 'node:tls';
import { describeError, HearthcamError } from '../core/errors.ts';

/** @throws HearthcamError when certificate and key can't be used: found before anything listens. */
export function checkCertificate(cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const mismatch = describeError(cause).includes('mismatch');
    throw new HearthcamError(
      'config.tls',
      mismatch
        ? 'api.tls_key is not the key of the certificate in api.tls_cert'
        : 'api.tls_cert and api.tls_key are not a certificate and its key in PEM form',
      { status: 400, cause, hint: 'a PEM file begins with "-----BEGIN"; the key must have no password' },
    );
  }
}
