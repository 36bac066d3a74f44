import { verifications } from './verify-cases';

verifications('sha256');
