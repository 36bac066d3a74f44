import { verifications } from './verify-cases';

verifications('id');
