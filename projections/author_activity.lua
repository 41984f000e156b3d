-- Who changed how much in which month (UTC): one model per author and month,
-- over the history of a source repository.

-- The month of a moment as text: "2009-03".
local function month_of(us)
  return lunette.format_timestamp(us):sub(1, 7)
end

local function earlier(a, b)
  return a and a < b and a or b
end

local function later(a, b)
  return a and a > b and a or b
end

return {
  name = "author_activity",
  version = 1,

  fields = {
    author = "text",
    month = "text",
    commits = "integer",
    files = "integer",
    added = "integer",
    deleted = "integer",
    first_commit = "timestamp",
    last_commit = "timestamp",
  },
  indexes = { { "month", "commits" }, "author" },

  extract_model_id = function(event)
    return event.data.author .. ":" .. month_of(event.recorded_at)
  end,

  on = {
    CommitMade = function(activity, event)
      local data = event.data
      local at = event.recorded_at
      activity = activity or {
        author = data.author,
        month = month_of(at),
        commits = 0,
        files = 0,
        added = 0,
        deleted = 0,
      }
      activity.commits = activity.commits + 1
      activity.files = activity.files + data.files
      activity.added = activity.added + data.added
      activity.deleted = activity.deleted + data.deleted
      -- commits are recorded in the order they were merged
      activity.first_commit = earlier(activity.first_commit, at)
      activity.last_commit = later(activity.last_commit, at)
      return activity
    end,
  },
}
