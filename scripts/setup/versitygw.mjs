/** The S3 server of the tests: found, else built with Go. */
import { buildProgram, ensureProgram } from './fetched-program.mjs';

export const VERSITYGW = {
  name: 'versitygw',
  title: 'S3 server of the tests',
  variable: 'VERSITYGW_PATH',
  page: 'https://github.com/versity/versitygw/releases',
  goModule: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0',
  goTime: 'about a minute',
};

/** Finds or builds the server. @returns {Promise<string>} its path */
export function ensureVersitygw() {
  return ensureProgram(VERSITYGW, (target) => buildProgram(VERSITYGW, target));
}
