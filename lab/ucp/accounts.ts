/** Users, organisations and teams: UCP's authentication store, kept in one file. */
import { randomBytes, randomUUID, scryptSync, timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { HttpError, notFound } from './http';

export interface Account {
  id: string;
  name: string;
  fullName: string;
  isOrg: boolean;
  isAdmin: boolean;
  isActive: boolean;
  /** `salt:hash`, users only; never leaves this room. */
  passwordHash?: string;
}

export interface Team {
  id: string;
  orgID: string;
  name: string;
  description: string;
  /** Account ids. */
  members: string[];
}

export interface OrgMember {
  orgID: string;
  userID: string;
  isAdmin: boolean;
}

interface Stored {
  accounts: Account[];
  teams: Team[];
  members: OrgMember[];
}

export interface Seed {
  users: { name: string; fullName: string; password: string; isAdmin: boolean }[];
  orgs: { name: string; fullName: string; admins: string[]; teams: { name: string; members: string[] }[] }[];
}

export class AccountStore {
  private data: Stored = { accounts: [], teams: [], members: [] };

  /** Reads `file`, or makes it from the seed. */
  constructor(
    private readonly file: string,
    seed: () => Seed,
  ) {
    if (existsSync(file)) {
      this.data = JSON.parse(readFileSync(file, 'utf8')) as Stored;
      return;
    }
    const { users, orgs } = seed();
    for (const user of users) this.createUser(user.name, user.password, { fullName: user.fullName, isAdmin: user.isAdmin });
    for (const org of orgs) {
      this.createOrg(org.name, org.fullName);
      for (const admin of org.admins) this.setMember(org.name, admin, true);
      for (const team of org.teams) {
        this.createTeam(org.name, team.name);
        for (const member of team.members) this.addTeamMember(org.name, team.name, member);
      }
    }
  }

  list(): Account[] {
    return [...this.data.accounts].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** By name or `id:<uuid>`. */
  find(nameOrId: string): Account | undefined {
    const id = nameOrId.startsWith('id:') ? nameOrId.slice(3) : nameOrId;
    return this.data.accounts.find((account) => account.name === nameOrId || account.id === id);
  }

  get(nameOrId: string): Account {
    const account = this.find(nameOrId);
    if (account === undefined) throw new HttpError(404, `account ${nameOrId} does not exist`, 'NO_SUCH_ACCOUNT');
    return account;
  }

  /** The account when name and password fit, else undefined. */
  checkPassword(name: string, password: string): Account | undefined {
    const account = this.data.accounts.find((candidate) => candidate.name === name && !candidate.isOrg);
    if (account?.passwordHash === undefined || !account.isActive) return undefined;
    const [salt, hash] = account.passwordHash.split(':') as [string, string];
    return timingSafeEqual(Buffer.from(hash, 'hex'), derive(password, salt)) ? account : undefined;
  }

  createUser(name: string, password: string, options: { fullName?: string; isAdmin?: boolean } = {}): Account {
    this.checkNewName(name);
    if (password.length < 8) throw new HttpError(400, 'the password must have at least 8 characters', 'INVALID_FORM');
    const salt = randomBytes(16).toString('hex');
    const account: Account = {
      id: randomUUID(),
      name,
      fullName: options.fullName ?? '',
      isOrg: false,
      isAdmin: options.isAdmin ?? false,
      isActive: true,
      passwordHash: `${salt}:${derive(password, salt).toString('hex')}`,
    };
    this.data.accounts.push(account);
    this.save();
    return account;
  }

  createOrg(name: string, fullName = ''): Account {
    this.checkNewName(name);
    const account: Account = { id: randomUUID(), name, fullName, isOrg: true, isAdmin: false, isActive: true };
    this.data.accounts.push(account);
    this.save();
    return account;
  }

  /** Removes an account with its teams and memberships. */
  remove(name: string): void {
    const { id } = this.get(name);
    this.data.accounts = this.data.accounts.filter((account) => account.id !== id);
    this.data.teams = this.data.teams.filter((team) => team.orgID !== id);
    for (const team of this.data.teams) team.members = team.members.filter((member) => member !== id);
    this.data.members = this.data.members.filter((member) => member.orgID !== id && member.userID !== id);
    this.save();
  }

  members(orgName: string): { account: Account; isAdmin: boolean }[] {
    const org = this.org(orgName);
    return this.data.members
      .filter((member) => member.orgID === org.id)
      .map((member) => ({ account: this.get(member.userID), isAdmin: member.isAdmin }))
      .sort((a, b) => (a.account.name < b.account.name ? -1 : 1));
  }

  setMember(orgName: string, userName: string, isAdmin: boolean): void {
    const orgID = this.org(orgName).id;
    const userID = this.user(userName).id;
    this.data.members = this.data.members.filter((member) => member.orgID !== orgID || member.userID !== userID);
    this.data.members.push({ orgID, userID, isAdmin });
    this.save();
  }

  removeMember(orgName: string, userName: string): void {
    const orgID = this.org(orgName).id;
    const userID = this.user(userName).id;
    this.data.members = this.data.members.filter((member) => member.orgID !== orgID || member.userID !== userID);
    for (const team of this.data.teams) if (team.orgID === orgID) team.members = team.members.filter((member) => member !== userID);
    this.save();
  }

  teams(orgName: string): Team[] {
    const org = this.org(orgName);
    return this.data.teams.filter((team) => team.orgID === org.id).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  team(orgName: string, teamName: string): Team {
    const team = this.teams(orgName).find((candidate) => candidate.name === teamName || candidate.id === teamName.replace(/^id:/, ''));
    if (team === undefined) throw new HttpError(404, `team ${teamName} does not exist`, 'NO_SUCH_TEAM');
    return team;
  }

  createTeam(orgName: string, name: string, description = ''): Team {
    if (this.teams(orgName).some((team) => team.name === name)) throw new HttpError(400, `team ${name} exists`, 'TEAM_EXISTS');
    const team: Team = { id: randomUUID(), orgID: this.org(orgName).id, name, description, members: [] };
    this.data.teams.push(team);
    this.save();
    return team;
  }

  removeTeam(orgName: string, name: string): void {
    const { id } = this.team(orgName, name);
    this.data.teams = this.data.teams.filter((team) => team.id !== id);
    this.save();
  }

  /** Members of a team are members of its organisation, too. */
  addTeamMember(orgName: string, teamName: string, userName: string): void {
    const team = this.team(orgName, teamName);
    const user = this.user(userName);
    if (!this.members(orgName).some((member) => member.account.id === user.id)) this.setMember(orgName, userName, false);
    if (!team.members.includes(user.id)) team.members.push(user.id);
    this.save();
  }

  removeTeamMember(orgName: string, teamName: string, userName: string): void {
    const team = this.team(orgName, teamName);
    const { id } = this.user(userName);
    team.members = team.members.filter((member) => member !== id);
    this.save();
  }

  private org(name: string): Account {
    const account = this.get(name);
    if (!account.isOrg) throw notFound(`organization ${name}`);
    return account;
  }

  private user(name: string): Account {
    const account = this.get(name);
    if (account.isOrg) throw notFound(`user ${name}`);
    return account;
  }

  private checkNewName(name: string): void {
    if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(name)) throw new HttpError(400, 'the name must be lower-case letters, digits, "-" or "_"', 'INVALID_FORM');
    if (this.data.accounts.some((account) => account.name === name)) throw new HttpError(400, `account ${name} exists`, 'ACCOUNT_EXISTS');
  }

  private save(): void {
    mkdirSync(path.dirname(this.file), { recursive: true, mode: 0o700 });
    writeFileSync(`${this.file}.new`, JSON.stringify(this.data, null, 1), { mode: 0o600 });
    renameSync(`${this.file}.new`, this.file);
  }
}

function derive(password: string, salt: string): Buffer {
  return scryptSync(password, salt, 32, { N: 1024 });
}
