export interface Account {
  id: string;
  name: string;
  isOrg: boolean;
  isAdmin?: boolean;
}

/** UCP/MKE by its own HTTPS API. */
export interface Ucp {
  /** The address that answered. */
  readonly url: string;
  /** Throws AuthRejected on 401, UcpUnavailable when no address answers. Returns nothing: the token stays inside. */
  login(): Promise<void>;
  /** True when the logged-in user is an administrator. */
  isAdmin(): Promise<boolean>;
  /** UCP's own id, as `docker info` shows it through a client bundle; undefined where it does not tell a logged-in user. */
  id(): Promise<string | undefined>;
  ping(): Promise<boolean>;
  /** PEM of UCP's CA (`GET /ca`). */
  ca(): Promise<string>;
  /** All users and organisations (paged). */
  accounts(): Promise<Account[]>;
  /** Fetches a new client bundle (zip); every call makes a new key pair, so keep it. */
  fetchBundle(): Promise<Buffer>;
  close(): Promise<void>;
}

/** The files of a client bundle. */
export interface Bundle {
  ca: string;
  cert: string;
  key: string;
  /** From env.sh, `tcp://host:port`. */
  dockerHost: string;
}
