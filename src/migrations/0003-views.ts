import { migration } from '../mongo/migrate/migration.ts';
import { changeView } from '../mongo/migrate/structure.ts';

export const views = migration(import.meta.url, [
  changeView('users_named', {
    to: {
      on: 'users',
      pipeline: [{ $project: { name: 1, role: 1, bio: 1, createdAt: 1, updatedAt: 1 } }],
    },
  }),
  changeView('tags_named', {
    to: {
      on: 'tags',
      pipeline: [{ $project: { name: 1, description: 1, createdAt: 1, updatedAt: 1 } }],
    },
  }),
  changeView('books_named', {
    to: {
      on: 'books',
      pipeline: [
        {
          $lookup: {
            from: 'tags',
            localField: 'tags',
            foreignField: '_id',
            pipeline: [{ $project: { name: 1 } }],
            as: 'tags',
          },
        },
        { $set: { tags: '$tags.name' } },
        {
          $project: {
            title: 1,
            authors: 1,
            year: 1,
            isbn: 1,
            language: 1,
            tags: 1,
            createdAt: 1,
            updatedAt: 1,
          },
        },
      ],
    },
  }),
  changeView('posts_named', {
    to: {
      on: 'posts',
      pipeline: [
        {
          $lookup: {
            from: 'users',
            localField: 'author',
            foreignField: '_id',
            pipeline: [{ $project: { name: 1 } }],
            as: 'author',
          },
        },
        {
          $lookup: {
            from: 'books',
            localField: 'books',
            foreignField: '_id',
            pipeline: [{ $project: { title: 1 } }],
            as: 'books',
          },
        },
        {
          $lookup: {
            from: 'tags',
            localField: 'tags',
            foreignField: '_id',
            pipeline: [{ $project: { name: 1 } }],
            as: 'tags',
          },
        },
        {
          $set: { author: { $first: '$author.name' }, books: '$books.title', tags: '$tags.name' },
        },
        {
          $project: {
            title: 1,
            body: 1,
            status: 1,
            publishedAt: 1,
            author: 1,
            books: 1,
            tags: 1,
            createdAt: 1,
            updatedAt: 1,
          },
        },
      ],
    },
  }),
  changeView('dangling_references', {
    to: {
      on: 'books',
      pipeline: [
        {
          $match: { tags: { $nin: [null, []] } },
        },
        { $project: { missing: '$tags' } },
        { $unwind: '$missing' },
        {
          $lookup: {
            from: 'tags',
            localField: 'missing',
            foreignField: '_id',
            pipeline: [{ $project: { _id: 1 } }],
            as: 'found',
          },
        },
        { $match: { found: [] } },
        {
          $project: {
            _id: { document: '$_id', field: { $literal: 'books.tags' }, missing: '$missing' },
            collection: { $literal: 'books' },
            document: '$_id',
            field: { $literal: 'tags' },
            refersTo: { $literal: 'tags' },
            missing: 1,
          },
        },
        {
          $unionWith: {
            coll: 'posts',
            pipeline: [
              {
                $match: { author: { $nin: [null, []] } },
              },
              { $project: { missing: '$author' } },
              { $unwind: '$missing' },
              {
                $lookup: {
                  from: 'users',
                  localField: 'missing',
                  foreignField: '_id',
                  pipeline: [{ $project: { _id: 1 } }],
                  as: 'found',
                },
              },
              { $match: { found: [] } },
              {
                $project: {
                  _id: {
                    document: '$_id',
                    field: { $literal: 'posts.author' },
                    missing: '$missing',
                  },
                  collection: { $literal: 'posts' },
                  document: '$_id',
                  field: { $literal: 'author' },
                  refersTo: { $literal: 'users' },
                  missing: 1,
                },
              },
            ],
          },
        },
        {
          $unionWith: {
            coll: 'posts',
            pipeline: [
              {
                $match: { books: { $nin: [null, []] } },
              },
              { $project: { missing: '$books' } },
              { $unwind: '$missing' },
              {
                $lookup: {
                  from: 'books',
                  localField: 'missing',
                  foreignField: '_id',
                  pipeline: [{ $project: { _id: 1 } }],
                  as: 'found',
                },
              },
              { $match: { found: [] } },
              {
                $project: {
                  _id: {
                    document: '$_id',
                    field: { $literal: 'posts.books' },
                    missing: '$missing',
                  },
                  collection: { $literal: 'posts' },
                  document: '$_id',
                  field: { $literal: 'books' },
                  refersTo: { $literal: 'books' },
                  missing: 1,
                },
              },
            ],
          },
        },
        {
          $unionWith: {
            coll: 'posts',
            pipeline: [
              {
                $match: { tags: { $nin: [null, []] } },
              },
              { $project: { missing: '$tags' } },
              { $unwind: '$missing' },
              {
                $lookup: {
                  from: 'tags',
                  localField: 'missing',
                  foreignField: '_id',
                  pipeline: [{ $project: { _id: 1 } }],
                  as: 'found',
                },
              },
              { $match: { found: [] } },
              {
                $project: {
                  _id: {
                    document: '$_id',
                    field: { $literal: 'posts.tags' },
                    missing: '$missing',
                  },
                  collection: { $literal: 'posts' },
                  document: '$_id',
                  field: { $literal: 'tags' },
                  refersTo: { $literal: 'tags' },
                  missing: 1,
                },
              },
            ],
          },
        },
        {
          $unionWith: {
            coll: 'sessions',
            pipeline: [
              {
                $match: { user: { $nin: [null, []] } },
              },
              { $project: { missing: '$user' } },
              { $unwind: '$missing' },
              {
                $lookup: {
                  from: 'users',
                  localField: 'missing',
                  foreignField: '_id',
                  pipeline: [{ $project: { _id: 1 } }],
                  as: 'found',
                },
              },
              { $match: { found: [] } },
              {
                $project: {
                  _id: {
                    document: '$_id',
                    field: { $literal: 'sessions.user' },
                    missing: '$missing',
                  },
                  collection: { $literal: 'sessions' },
                  document: '$_id',
                  field: { $literal: 'user' },
                  refersTo: { $literal: 'users' },
                  missing: 1,
                },
              },
            ],
          },
        },
        {
          $unionWith: {
            coll: 'keys',
            pipeline: [
              {
                $match: { user: { $nin: [null, []] } },
              },
              { $project: { missing: '$user' } },
              { $unwind: '$missing' },
              {
                $lookup: {
                  from: 'users',
                  localField: 'missing',
                  foreignField: '_id',
                  pipeline: [{ $project: { _id: 1 } }],
                  as: 'found',
                },
              },
              { $match: { found: [] } },
              {
                $project: {
                  _id: {
                    document: '$_id',
                    field: { $literal: 'keys.user' },
                    missing: '$missing',
                  },
                  collection: { $literal: 'keys' },
                  document: '$_id',
                  field: { $literal: 'user' },
                  refersTo: { $literal: 'users' },
                  missing: 1,
                },
              },
            ],
          },
        },
      ],
    },
  }),
  changeView('migration_history', {
    to: {
      on: 'migrations',
      pipeline: [
        { $sort: { startedAt: -1 } },
        {
          $project: {
            state: 1,
            startedAt: 1,
            finishedAt: 1,
            seconds: { $divide: ['$durationMs', 1000] },
            documentsChanged: '$changed',
          },
        },
      ],
    },
  }),
]);
