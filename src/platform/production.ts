/*
 * To be imported before all else. Libraries ask for this when they are loaded: GraphQL's checks for developers would take a
 * third of the time in which a payload is made.
 */
process.env['NODE_ENV'] ??= 'production';
