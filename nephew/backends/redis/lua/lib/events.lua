--! uses job, stream
-- Events as the stream has them.

-- That a job is in this state now; `worker` and `cause` may be nil.
local function happened(id, state, worker, cause)
    local _, _, _, _, head = standing(id)
    local words = {id, head and head[1] or '', state, worker or cjson.null, cause or cjson.null}
    return cjson.encode(words)
end
