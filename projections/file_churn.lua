-- How restless each file of a source repository is: one model per path.

-- Binary files have no line counts: their events carry null.
local function count(lines)
  return lines ~= lunette.null and lines or 0
end

return {
  name = "file_churn",
  version = 1,

  fields = {
    changes = "integer",
    binary_changes = "integer",
    added = "integer",
    deleted = "integer",
    churn = "integer", -- lines added and deleted
    authors = "json", -- changes by author
    author_count = "integer",
    last_author = "text",
    last_change = "timestamp",
  },
  indexes = { "churn", "changes" },

  extract_model_id = function(event)
    return event.data.path
  end,

  on = {
    FileChanged = function(file, event)
      local data = event.data
      local author = data.author
      file = file or {
        changes = 0,
        binary_changes = 0,
        added = 0,
        deleted = 0,
        churn = 0,
        authors = {},
        author_count = 0,
      }
      file.changes = file.changes + 1
      if data.added == lunette.null then
        file.binary_changes = file.binary_changes + 1
      end
      file.added = file.added + count(data.added)
      file.deleted = file.deleted + count(data.deleted)
      file.churn = file.added + file.deleted
      if not file.authors[author] then
        file.author_count = file.author_count + 1
      end
      file.authors[author] = (file.authors[author] or 0) + 1
      file.last_author = author
      file.last_change = event.recorded_at
      return file
    end,
  },
}
