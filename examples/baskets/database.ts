export const connectionString = process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop';
