-- When the next job is due.
--
-- Returns epoch seconds as text; nothing when no job waits for its time.
-- Reads scheduled, retrying.

local first
for _, word in ipairs({'scheduled', 'retrying'}) do
    local eta = (try('ZRANGE', key(word), 0, 0, 'WITHSCORES') or {})[2]
    if eta and (not first or tonumber(eta) < tonumber(first)) then
        first = eta
    end
end
return first
